/* SPDX-License-Identifier: MIT */
/* The other CPUs: bringing them up, poking them. */
#ifndef KERNEL_SMP_H
#define KERNEL_SMP_H

#include "kernel/base.h"

/* Makes another CPU leave hlt or user mode and look at its thread's flags. Any context; does not wait. */
void smp_send_reschedule(unsigned cpu);
/* The scheduler's: the loop that a CPU runs for the rest of its life, on its idle thread. Interrupts off. */
void cpu_start_scheduling(void) __noreturn;

#endif
