/* SPDX-License-Identifier: MIT */
/* Declares how one CPU interrupts another. */
#ifndef KERNEL_SMP_H
#define KERNEL_SMP_H

#include "kernel/lib/base.h"

/* Makes another CPU leave hlt or user mode and check its thread's work flags. Any context; does not wait. */
void smp_send_reschedule(unsigned cpu);

#endif
