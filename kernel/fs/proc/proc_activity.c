/* SPDX-License-Identifier: MIT */
/*
 * The files of /proc that report CPU time, load and interrupts: stat, uptime, loadavg, interrupts. Takes each run
 * queue's lock briefly, so the figures of a file are not all from the same instant.
 */
#include "drivers/serial.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/x86/trap.h"

#define NS_PER_TICK (NSEC_PER_SEC / USER_HZ)
#define NR_SOFTIRQS 10 /* Linux's number; this kernel has no softirqs */

/* --- interrupts --- */

static const struct {
	enum trap_vector vector;
	const char *name, *what;
} internal[] = {
	{ VECTOR_TIMER, "LOC", "Local timer interrupts" },
	{ VECTOR_RESCHEDULE, "RES", "Rescheduling interrupts" },
	{ VECTOR_TLB, "TLB", "TLB shootdowns" },
};

static void show_counts(struct text *text, enum trap_vector vector)
{
	for (u32 cpu = 0; cpu < nr_cpus(); cpu++)
		text_printf(text, " %10lu", interrupt_count(cpu, vector));
}

static int show_interrupts(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "           ");
	for (u32 cpu = 0; cpu < nr_cpus(); cpu++)
		text_printf(text, "CPU%-8u", cpu);
	text_printf(text, "\n%3d:", SERIAL_GSI);
	show_counts(text, VECTOR_SERIAL);
	text_printf(text, "  IO-APIC %3d-edge      ttyS0\n", SERIAL_GSI);
	for (unsigned i = 0; i < ARRAY_SIZE(internal); i++) {
		text_printf(text, "%s:", internal[i].name);
		show_counts(text, internal[i].vector);
		text_printf(text, "   %s\n", internal[i].what);
	}
	return 0;
}

static u64 count_of(enum trap_vector vector)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < nr_cpus(); cpu++)
		sum += interrupt_count(cpu, vector);
	return sum;
}

/* The row "intr": the count of all interrupts, then of each device interrupt by number. */
static void show_intr(struct text *text)
{
	u64 devices = count_of(VECTOR_SERIAL), sum = devices;

	for (unsigned i = 0; i < ARRAY_SIZE(internal); i++)
		sum += count_of(internal[i].vector);
	text_printf(text, "intr %lu", sum);
	for (int gsi = 0; gsi <= SERIAL_GSI; gsi++)
		text_printf(text, " %lu", gsi == SERIAL_GSI ? devices : 0UL);
	text_printf(text, "\n");
}

/* --- CPU time --- */

static void show_usage(struct text *text, const struct cpu_usage *usage)
{
	text_printf(text, " %lu 0 %lu %lu 0 0 0 0 0 0\n", usage->user_ns / NS_PER_TICK, usage->kernel_ns / NS_PER_TICK,
		    usage->idle_ns / NS_PER_TICK);
}

static struct cpu_usage usage_of_all(void)
{
	struct cpu_usage sum = {};

	for (u32 cpu = 0; cpu < nr_cpus(); cpu++) {
		struct cpu_usage usage = sched_cpu_usage(cpu);

		sum.user_ns += usage.user_ns;
		sum.kernel_ns += usage.kernel_ns;
		sum.idle_ns += usage.idle_ns;
	}
	return sum;
}

static int activity_show_stat(struct text *text, u64 id)
{
	struct cpu_usage usage = usage_of_all();

	(void)id;
	text_printf(text, "cpu ");
	show_usage(text, &usage);
	for (u32 cpu = 0; cpu < nr_cpus(); cpu++) {
		usage = sched_cpu_usage(cpu);
		text_printf(text, "cpu%u", cpu);
		show_usage(text, &usage);
	}
	show_intr(text);
	text_printf(text, "ctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\nsoftirq 0",
		    sched_nr_switches(), (realtime_ns() - ktime_ns()) / NSEC_PER_SEC, nr_tasks_created(),
		    sched_nr_running());
	for (unsigned i = 0; i < NR_SOFTIRQS; i++)
		text_printf(text, " 0");
	text_printf(text, "\n");
	return 0;
}

static void show_hundredths(struct text *text, u64 ns, char end)
{
	text_printf(text, "%lu.%02lu%c", ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NS_PER_TICK, end);
}

static int show_uptime(struct text *text, u64 id)
{
	(void)id;
	show_hundredths(text, ktime_ns(), ' ');
	show_hundredths(text, usage_of_all().idle_ns, '\n');
	return 0;
}

/* No averages are kept: the number of threads running at the moment is shown for all three. */
static int show_loadavg(struct text *text, u64 id)
{
	u32 running = sched_nr_running();

	(void)id;
	text_printf(text, "%u.00 %u.00 %u.00 %u/%u %lu\n", running, running, running, running, nr_tasks(),
		    nr_tasks_created());
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "interrupts", .mode = S_IFREG | 0444, .show = show_interrupts },
	{ .name = "loadavg", .mode = S_IFREG | 0444, .show = show_loadavg },
	{ .name = "stat", .mode = S_IFREG | 0444, .show = activity_show_stat },
	{ .name = "uptime", .mode = S_IFREG | 0444, .show = show_uptime },
};

void proc_activity_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
