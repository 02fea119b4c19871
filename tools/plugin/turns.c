/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that records when each CPU's turn begins, for `faultline report`.
 *
 * Under -icount QEMU runs the CPUs in turn, and its clock counts the instructions of all of them together. So the times
 * at which another CPU takes over show what each CPU has executed between any two times. What the schedule fuzzer
 * executes counts for no CPU.
 *
 * Arguments: out=FILE, and skip=START-END for each function that counts for no CPU. The file has 64 bits, little
 * endian, for each turn: the clock << 8 | the CPU, or NOBODY.
 */
#define _GNU_SOURCE
#include "tools/plugin/clock.h"
#include "tools/plugin/qemu_plugin.h"
#include "tools/plugin/qemu_version.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY 0xff
#define MAX_SKIPPED 8

/* on_block()'s argument describes the block: its length << 1 | whether it counts for no CPU. */
#define IS_SKIPPED 1u

static struct range {
	uint64_t start, end;
} skipped[MAX_SKIPPED];
static unsigned int nr_skipped;

static FILE *out;
static unsigned int owner = NOBODY; /* whose turn it is */

static void begin_turn(unsigned int whose, uint64_t now)
{
	uint64_t turn = now << 8 | whose;

	owner = whose;
	fwrite(&turn, sizeof(turn), 1, out);
}

static void on_block(unsigned int cpu, void *arg)
{
	uintptr_t block = (uintptr_t)arg;
	unsigned int whose = block & IS_SKIPPED ? NOBODY : cpu;

	if (owner != whose)
		begin_turn(whose, clock_at_block(block >> 1));
}

static bool is_skipped(uint64_t address)
{
	for (unsigned int i = 0; i < nr_skipped; i++)
		if (address >= skipped[i].start && address < skipped[i].end)
			return true;
	return false;
}

static void on_translate(void *first, void *second)
{
	struct qemu_plugin_tb *tb = qemu_plugin_version < PLUGIN_WITHOUT_ID ? second : first;
	uintptr_t block = qemu_plugin_tb_n_insns(tb) << 1;

	if (is_skipped(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0))))
		block |= IS_SKIPPED;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, PLUGIN_NO_REGISTERS, (void *)block);
}

static void on_exit_of_qemu(void)
{
	fclose(out);
}

static bool take_argument(const char *text)
{
	struct range *range = &skipped[nr_skipped];
	char *end;

	if (!strncmp(text, "out=", 4)) {
		out = fopen(text + 4, "w");
		return out;
	}
	if (strncmp(text, "skip=", 5) || nr_skipped == MAX_SKIPPED)
		return false;
	range->start = strtoull(text + 5, &end, 0);
	if (*end != '-')
		return false;
	range->end = strtoull(end + 1, &end, 0);
	nr_skipped++;
	return !*end && range->start < range->end;
}

/* QEMU looks this up by name. */
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc,
							       char **argv);
int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (!clock_find())
		return -1;
	for (int i = 0; i < argc; i++)
		if (!take_argument(argv[i]))
			return -1;
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, NULL);
	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	return 0;
}
