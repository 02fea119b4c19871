/* SPDX-License-Identifier: MIT */
/*
 * Which version of the plugin interface to ask for. QEMU refuses a plugin whose version it does not offer, and no version
 * is offered by all: 1 by QEMU 6 to 8, 2 from 9.0 to 10.2, 6 by 11.0, 7 by 11.1, in which callbacks have lost the plugin's
 * number and got a pointer of their own at the end. What we use is otherwise the same in all of them.
 *
 * QEMU reads the number when the plugin is loaded, and that is after our constructor has asked it what it is.
 */
#ifndef PLUGIN_QEMU_VERSION_H
#define PLUGIN_QEMU_VERSION_H

#ifndef _GNU_SOURCE
#error "RTLD_DEFAULT wants _GNU_SOURCE"
#endif
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#define PLUGIN_NEWEST 7
#define PLUGIN_WITHOUT_ID 7 /* from here on callbacks are not told the plugin's number */

__attribute__((visibility("default"))) int qemu_plugin_version;

/* As QEMU's qapi/common.json has it. */
struct qemu_version {
	struct {
		int64_t major, minor, micro;
	} *qemu;
	char *package;
};

/* A QEMU that does not say its version, being built without modules, may still be told by its functions. */
static int plugin_version_by_functions(void)
{
	if (dlsym(RTLD_DEFAULT, "qemu_plugin_n_vcpus"))
		return 1;
	return dlsym(RTLD_DEFAULT, "qemu_plugin_set_pc") ? PLUGIN_NEWEST : 2;
}

__attribute__((constructor)) static void plugin_choose_version(void)
{
	struct qemu_version *(*query_version)(void *error) = dlsym(RTLD_DEFAULT, "qmp_query_version");
	struct qemu_version *version = query_version ? query_version(NULL) : NULL;

	if (!version)
		qemu_plugin_version = plugin_version_by_functions();
	else if (version->qemu->major < 9)
		qemu_plugin_version = 1;
	else if (version->qemu->major < 11)
		qemu_plugin_version = 2;
	else
		qemu_plugin_version = version->qemu->major == 11 && version->qemu->minor == 0 ? 6 : PLUGIN_NEWEST;
}

#endif
