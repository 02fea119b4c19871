/* SPDX-License-Identifier: MIT */
/*
 * Reads QEMU's clock in the middle of a CPU's turn, for a plugin.
 *
 * Under -icount the clock counts the instructions of all CPUs together. QEMU adds what a CPU has executed when its turn
 * ends, and when the CPU reads its TSC; icount_update() adds it at once. At a block's start the whole block counts as
 * executed already; if an exception ends the block early, QEMU subtracts the rest again.
 *
 * The plugin API offers neither the clock nor icount_update(), so QEMU's own functions are looked up by name in the
 * program that has loaded the plugin. QEMU does not permit a CPU to read the clock inside a block, so clock_at_block()
 * clears `current_cpu` while it reads.
 */
#ifndef PLUGIN_CLOCK_H
#define PLUGIN_CLOCK_H

#ifndef _GNU_SOURCE
#error "RTLD_DEFAULT wants _GNU_SOURCE"
#endif
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CLOCK_VIRTUAL = 1 }; /* as in QEMU's include/qemu/timer.h */

static int64_t (*clock_get_ns)(int type);
static void (*icount_update)(void *cpu);

static void *plugin_symbol(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	if (!found)
		fprintf(stderr, "plugin: this QEMU does not export %s\n", name);
	return found;
}

static bool clock_find(void)
{
	clock_get_ns = plugin_symbol("qemu_clock_get_ns");
	icount_update = plugin_symbol("icount_update");
	return clock_get_ns && icount_update && plugin_symbol("current_cpu");
}

/* Returns QEMU's variable for the CPU that runs; each of QEMU's threads has its own. */
static void **clock_current_cpu(void)
{
	static __thread void **found;

	if (!found)
		found = dlsym(RTLD_DEFAULT, "current_cpu");
	return found;
}

/*
 * Returns the clock before a block's first instruction. => called as the block begins that has this many instructions
 */
static uint64_t clock_at_block(size_t length)
{
	void **current = clock_current_cpu(), *cpu = *current;
	uint64_t behind;

	icount_update(cpu);
	*current = NULL;
	behind = (uint64_t)clock_get_ns(CLOCK_VIRTUAL);
	*current = cpu;
	return behind - length;
}

#endif
