/* SPDX-License-Identifier: MIT */
/*
 * The interfaces that only Faultline has, for programs of this folder: the fault policy of a process, the counters of
 * /proc/vmstat, and race points.
 *
 * On another kernel on_faultline() returns false, and the rest does no harm.
 */
#ifndef USER_FAULTLINE_H
#define USER_FAULTLINE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "user/lib/text.h"

#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define PR_SET_FAULT_POLICY 0x464c5450
#define PR_GET_FAULT_POLICY 0x464c5451

enum policy { POLICY_DEFAULT, POLICY_MMAP, POLICY_VMA, POLICY_SPEC, POLICY_FULL, NR_POLICIES };

static inline const char *policy_name(int policy)
{
	static const char *const names[] = { "default", "mmap", "vma", "spec", "full" };

	return names[policy];
}

static inline bool on_faultline(void)
{
	return prctl(PR_GET_FAULT_POLICY, 0, 0, 0, 0) >= 0;
}

/* Sets this process's policy, from its next fault on. */
static inline bool set_policy(enum policy policy)
{
	return prctl(PR_SET_FAULT_POLICY, policy, 0, 0, 0) == 0;
}

/* Selects the count that speculation checks: "vma" (the VMA's) or "mm" (the mm's). */
static inline bool set_validation(const char *which)
{
	return write_text("/proc/sys/vm/spf_validate", which) > 0;
}

static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

/* Binds the calling thread to one CPU. Returns false if that CPU does not exist. */
static inline bool run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static inline int count_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* --- /proc/vmstat ----------------------------------------------------------------------------------------------- */

#define VMSTAT_ROWS 320

/* All counters at one moment. They are exact for the caller's own faults, but also count those of other processes. */
struct vmstat {
	char text[32 * 1024];
	unsigned int nr;
	struct {
		char name[48];
		uint64_t value;
	} row[VMSTAT_ROWS];
};

static inline void vmstat_parse(struct vmstat *stat)
{
	char *rest = NULL, *line;

	stat->nr = 0;
	for (line = strtok_r(stat->text, "\n", &rest); line && stat->nr < VMSTAT_ROWS;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = 0;
		snprintf(stat->row[stat->nr].name, sizeof(stat->row[0].name), "%s", line);
		stat->row[stat->nr++].value = strtoull(space + 1, NULL, 10);
	}
}

/* Touches no memory but *stat and the stack: race scripts call it while no fault may happen. */
static inline bool vmstat_read(struct vmstat *stat)
{
	stat->nr = 0;
	if (read_text("/proc/vmstat", stat->text, sizeof(stat->text)) < 0)
		return false;
	vmstat_parse(stat);
	return stat->nr > 0;
}

/* Returns the value of one counter, or 0 if none has that name. */
static inline uint64_t vmstat_value(const struct vmstat *stat, const char *name)
{
	for (unsigned int i = 0; i < stat->nr; i++)
		if (strcmp(stat->row[i].name, name) == 0)
			return stat->row[i].value;
	return 0;
}

static inline uint64_t vmstat_delta(const struct vmstat *before, const struct vmstat *after, const char *name)
{
	return vmstat_value(after, name) - vmstat_value(before, name);
}

/* --- race points ------------------------------------------------------------------------------------------------ */

#define RACE_FILE "/proc/faultline/race"

/*
 * Writes one command, formatted: "arm spec_after_walk tid=7", "wait …", "release …", "disarm". Returns -1 with errno if
 * it is refused.
 */
__attribute__((format(printf, 1, 2))) static inline ssize_t race_command(const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return write_text(RACE_FILE, text);
}

#endif
