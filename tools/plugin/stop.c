/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that stops the machine before a given instruction, counted over all CPUs: for `--stop-at`.
 *
 * A timer of the virtual clock would stop it there as well. But from QEMU 8.1 on the lengths of the CPUs' turns depend
 * on the next timer, so the run would differ from the one in which the instruction was counted. Therefore the plugin
 * reads the clock as each block begins (clock.h). QEMU then executes the block that contains the instruction one
 * instruction at a time, up to that one, as it does with a block that turns out to access a device: this ends no turn.
 * Nothing of the next block is executed, and all CPUs stop. If all CPUs were idle at that moment, they stop before the
 * next instruction that any of them executes.
 *
 * Argument: at=COUNT.
 */
#define _GNU_SOURCE
#include "tools/plugin/clock.h"
#include "tools/plugin/qemu_plugin.h"
#include "tools/plugin/qemu_version.h"

#include <stdlib.h>
#include <string.h>

enum { RUN_STATE_PAUSED = 4 }; /* as in QEMU's qapi/run-state.json */

static int (*vm_stop)(int state);
static void (*pause_all_vcpus)(void);
static void *(*qemu_get_cpu)(int index);
static void (*async_run_on_cpu)(void *cpu, void (*work)(void *cpu, void *data), void *data);
/*
 * These end the running block at an address of translated code, and do not return. The instruction there is executed
 * again.
 */
static void (*cpu_loop_exit_restore)(void *cpu, uintptr_t address);
static void (*cpu_io_recompile)(void *cpu, uintptr_t address); /* as a block of its own, unseen by plugins */
static uint64_t wanted;
static bool stopping;

/* Stops all CPUs before any of them executes more, and then tells the main loop, which tells the debugger. */
static void stop(void *cpu, void *data)
{
	static bool stopped;

	(void)cpu, (void)data;
	if (stopped)
		return;
	stopped = true;
	pause_all_vcpus();
	vm_stop(RUN_STATE_PAUSED);
}

/*
 * Queues stop() as work of every CPU: a CPU does its work before its next block, so it runs whichever CPU comes next.
 */
static void stop_before_next_block(void)
{
	void *cpu;

	stopping = true;
	for (int index = 0; (cpu = qemu_get_cpu(index)); index++)
		async_run_on_cpu(cpu, stop, NULL);
}

static void on_block(unsigned int cpu, void *arg)
{
	size_t length = (uintptr_t)arg;
	uint64_t now;

	(void)cpu;
	if (stopping)
		return;
	now = clock_at_block(length);
	if (now + length <= wanted)
		return;
	if (now < wanted)
		cpu_io_recompile(*clock_current_cpu(), (uintptr_t)__builtin_return_address(0));
	stop_before_next_block();
	cpu_loop_exit_restore(*clock_current_cpu(), (uintptr_t)__builtin_return_address(0));
}

static void on_translate(void *first, void *second)
{
	struct qemu_plugin_tb *tb = qemu_plugin_version < PLUGIN_WITHOUT_ID ? second : first;

	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, PLUGIN_NO_REGISTERS,
					     (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

/* QEMU looks this up by name. */
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc,
							       char **argv);
int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	vm_stop = plugin_symbol("vm_stop");
	pause_all_vcpus = plugin_symbol("pause_all_vcpus");
	qemu_get_cpu = plugin_symbol("qemu_get_cpu");
	async_run_on_cpu = plugin_symbol("async_run_on_cpu");
	cpu_loop_exit_restore = plugin_symbol("cpu_loop_exit_restore");
	cpu_io_recompile = plugin_symbol("cpu_io_recompile");
	if (argc != 1 || strncmp(argv[0], "at=", 3) || !clock_find() || !vm_stop || !pause_all_vcpus || !qemu_get_cpu ||
	    !async_run_on_cpu || !cpu_loop_exit_restore || !cpu_io_recompile)
		return -1;
	wanted = strtoull(argv[0] + 3, NULL, 0);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, NULL);
	return 0;
}
