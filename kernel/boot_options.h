/* SPDX-License-Identifier: MIT */
/* The options of the kernel command line that set system-wide defaults. */
#ifndef KERNEL_BOOT_OPTIONS_H
#define KERNEL_BOOT_OPTIONS_H

/*
 * Applies the options; at boot, with all CPUs up, before the first process: `fault_policy=` and `spf_validate=` like
 * the files in /proc/sys/vm; `schedule=SEED` turns the schedule fuzzer on; `fault_events=N` sets the number of events
 * kept for each CPU (mm/debug/events.h).
 */
void boot_options_apply(void);

#endif
