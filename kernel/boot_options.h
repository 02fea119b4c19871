/* SPDX-License-Identifier: MIT */
/* The words of the kernel command line that set system-wide defaults. */
#ifndef KERNEL_BOOT_OPTIONS_H
#define KERNEL_BOOT_OPTIONS_H

/*
 * Boot, all CPUs up, no process yet: `fault_policy=` and `spf_validate=` as the files in /proc/sys/vm, `schedule=SEED` turns
 * the schedule fuzzer on, `fault_events=N` keeps so many events for each CPU (mm/debug/events.h).
 */
void boot_options_apply(void);

#endif
