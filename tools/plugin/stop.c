/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that stops the machine before a given instruction: for `--stop-at`. Under -icount the virtual clock counts
 * instructions, so a timer of that clock ends the CPUs' turns exactly there, whichever of them is at work, and disturbs
 * nothing before. The plugin API has no timers: QEMU's own are looked up by name in the program that has loaded us.
 *
 * Argument: at=COUNT.
 */
#define _GNU_SOURCE
#include "tools/plugin/qemu_plugin.h"
#include "tools/plugin/qemu_version.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in QEMU's include/qemu/timer.h and qapi/run-state.json. */
enum { CLOCK_VIRTUAL = 1, SCALE_NS = 1, RUN_STATE_PAUSED = 4 };
#define TIMER_ROOM 256 /* more than a struct QEMUTimer of any version */

static int (*vm_stop)(int state);
static void (*pause_all_vcpus)(void);
static void *(*qemu_get_cpu)(int index);
static void (*async_run_on_cpu)(void *cpu, void (*work)(void *cpu, void *data), void *data);
static uint64_t timer[TIMER_ROOM / sizeof(uint64_t)];
static bool stopped;

/* All CPUs stand before another one executes anything; then the main loop learns of it, and tells the debugger. */
static void stop(void *cpu, void *data)
{
	(void)cpu, (void)data;
	if (stopped)
		return;
	stopped = true;
	pause_all_vcpus();
	vm_stop(RUN_STATE_PAUSED);
}

/* No clock can be stopped while its timers run. What a CPU has to do comes before the next instruction, whoever's it is. */
static void time_has_come(void *opaque)
{
	void *cpu;

	(void)opaque;
	for (int index = 0; (cpu = qemu_get_cpu(index)); index++)
		async_run_on_cpu(cpu, stop, NULL);
}

static void *symbol(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	if (!found)
		fprintf(stderr, "stop: this QEMU does not show its function %s to plugins\n", name);
	return found;
}

/* QEMU looks this up by name. */
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv);
int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	void (*timer_init_full)(void *, void *, int, int, int, void (*)(void *), void *) = symbol("timer_init_full");
	void (*timer_mod_ns)(void *, int64_t) = symbol("timer_mod_ns");

	(void)id, (void)info;
	vm_stop = symbol("vm_stop");
	pause_all_vcpus = symbol("pause_all_vcpus");
	qemu_get_cpu = symbol("qemu_get_cpu");
	async_run_on_cpu = symbol("async_run_on_cpu");
	if (argc != 1 || strncmp(argv[0], "at=", 3) || !timer_init_full || !timer_mod_ns || !vm_stop || !pause_all_vcpus ||
	    !qemu_get_cpu || !async_run_on_cpu)
		return -1;
	timer_init_full(timer, NULL, CLOCK_VIRTUAL, SCALE_NS, 0, time_has_come, NULL);
	timer_mod_ns(timer, strtoll(argv[0] + 3, NULL, 0));
	return 0;
}
