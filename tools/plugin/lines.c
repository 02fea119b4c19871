/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that finds shared cache lines: lines that one CPU writes and another touches. It sees every access of
 * every CPU with its physical address, between two marks that the measured program sets by writing to agreed virtual
 * addresses, and attributes them to page faults, which it recognises by the address of their entry stub.
 *
 * Arguments: out=FILE, fault=ADDRESS (entry of the page fault handler), mark=ADDRESS (a write there starts the
 * measurement, a write 8 bytes behind it ends it). The result, one line each:
 *
 *	faults N
 *	lost N			accesses to lines for which the table had no slot
 *	line PADDR VADDR faults-that-wrote-it cpus-that-touched-it writes
 *
 * Meant for one thread of execution (-icount): QEMU then runs the CPUs in turn, so the table needs no lock.
 */
#define _GNU_SOURCE
#include "tools/plugin/qemu_plugin.h"
#include "tools/plugin/qemu_version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SHIFT 6
#define MAX_CPUS 64
#define TABLE_BITS 22
#define MOST_LINES (7ul << (TABLE_BITS - 3)) /* leaves free slots, which end a search */

struct line {
	uint64_t number;  /* physical address >> LINE_SHIFT, plus 1: 0 is a free slot */
	uint64_t vaddr;	  /* the virtual address of the last access */
	uint64_t touched; /* a bit for each CPU */
	uint64_t writes;
	uint64_t faults;     /* how many different faults wrote it */
	uint64_t last_fault; /* the last fault that wrote it */
};

static struct line *table;
static const char *out_path;
static uint64_t fault_entry, mark;
static bool measuring;
static uint64_t nr_faults, nr_lines, nr_lost;
static uint64_t current_fault[MAX_CPUS]; /* the fault that the CPU handled last; 0: none yet */

/* Returns the slot of the line, a new one if necessary, or NULL if the table is full. */
static struct line *line_find(uint64_t number)
{
	uint64_t mask = (1ul << TABLE_BITS) - 1;
	uint64_t slot = (number * 0x9e3779b97f4a7c15ul) >> (64 - TABLE_BITS);

	while (table[slot].number && table[slot].number != number)
		slot = (slot + 1) & mask;
	if (!table[slot].number) {
		if (nr_lines == MOST_LINES)
			return NULL;
		nr_lines++;
		table[slot].number = number;
	}
	return &table[slot];
}

static void set_measuring(bool on)
{
	measuring = on;
	if (!on)
		return;
	memset(table, 0, sizeof(*table) << TABLE_BITS);
	memset(current_fault, 0, sizeof(current_fault));
	nr_faults = nr_lines = nr_lost = 0;
}

static void record(unsigned int cpu, uint64_t paddr, uint64_t vaddr, bool store)
{
	struct line *line = line_find((paddr >> LINE_SHIFT) + 1);

	if (!line) {
		nr_lost++;
		return;
	}
	line->vaddr = vaddr;
	line->touched |= 1ul << cpu;
	if (!store)
		return;
	line->writes++;
	if (current_fault[cpu] && line->last_fault != current_fault[cpu]) {
		line->last_fault = current_fault[cpu];
		line->faults++;
	}
}

static void on_memory(unsigned int cpu, plugin_meminfo info, uint64_t vaddr, void *arg)
{
	bool store = qemu_plugin_mem_is_store(info);
	struct qemu_plugin_hwaddr *hwaddr;

	(void)arg;
	if (store && (vaddr == mark || vaddr == mark + 8))
		set_measuring(vaddr == mark);
	if (!measuring || cpu >= MAX_CPUS)
		return;
	hwaddr = qemu_plugin_get_hwaddr(info, vaddr);
	if (hwaddr && !qemu_plugin_hwaddr_is_io(hwaddr))
		record(cpu, qemu_plugin_hwaddr_phys_addr(hwaddr), vaddr, store);
}

static void on_fault(unsigned int cpu, void *arg)
{
	(void)arg;
	if (measuring && cpu < MAX_CPUS)
		current_fault[cpu] = ++nr_faults;
}

static void on_translate(void *first, void *second)
{
	struct qemu_plugin_tb *tb = qemu_plugin_version < PLUGIN_WITHOUT_ID ? second : first;

	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		qemu_plugin_register_vcpu_mem_cb(insn, on_memory, PLUGIN_NO_REGISTERS, PLUGIN_READ_WRITE, NULL);
		if (qemu_plugin_insn_vaddr(insn) == fault_entry)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_fault, PLUGIN_NO_REGISTERS, NULL);
	}
}

static void print_lines(FILE *out)
{
	fprintf(out, "faults %" PRIu64 "\nlost %" PRIu64 "\n", nr_faults, nr_lost);
	for (size_t i = 0; i < 1ul << TABLE_BITS; i++) {
		const struct line *line = &table[i];

		if (line->faults && __builtin_popcountl(line->touched) >= 2)
			fprintf(out, "line %#" PRIx64 " %#" PRIx64 " %" PRIu64 " %d %" PRIu64 "\n",
				(line->number - 1) << LINE_SHIFT, line->vaddr, line->faults,
				__builtin_popcountl(line->touched), line->writes);
	}
}

static void on_exit_of_qemu(void)
{
	FILE *out = fopen(out_path, "w");

	if (!out) {
		perror(out_path);
		return;
	}
	print_lines(out);
	fclose(out);
}

/* Returns the value of the argument `name=value`, or NULL. */
static const char *argument(int argc, char **argv, const char *name)
{
	size_t length = strlen(name);

	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
			return argv[i] + length + 1;
	fprintf(stderr, "lines plugin: the argument %s= is missing\n", name);
	return NULL;
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc,
							       char **argv)
{
	const char *fault_text = argument(argc, argv, "fault");
	const char *mark_text = argument(argc, argv, "mark");

	(void)info;
	out_path = argument(argc, argv, "out");
	table = calloc(1ul << TABLE_BITS, sizeof(*table));
	if (!fault_text || !mark_text || !out_path || !table)
		return -1;
	fault_entry = strtoull(fault_text, NULL, 0);
	mark = strtoull(mark_text, NULL, 0);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, NULL);
	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	return 0;
}
