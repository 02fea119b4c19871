/* SPDX-License-Identifier: MIT */
/*
 * Chooses the version of the plugin interface to ask for.
 *
 * QEMU refuses a plugin whose version it does not offer, and no version is offered by all: QEMU 6 to 8 offer 1, 9.0 to
 * 10.2 offer 2, 11.0 offers 6. 11.1 offers 7, in which callbacks no longer get the plugin's number but a pointer of
 * their own as the last argument. The rest of what the plugins use is the same in all of them.
 *
 * QEMU reads the number after it has loaded the plugin. By then the plugin's constructor has asked QEMU for its
 * version.
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
#define PLUGIN_WITHOUT_ID 7 /* from this version on callbacks do not get the plugin's number */

__attribute__((visibility("default"))) int qemu_plugin_version;

/* As in QEMU's qapi/common.json. */
struct qemu_version {
	struct {
		int64_t major, minor, micro;
	} * qemu;
	char *package;
};

/*
 * Recognises the version by the functions that QEMU has. A QEMU that is built without modules does not tell its
 * version.
 */
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
