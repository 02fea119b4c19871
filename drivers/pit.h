/* SPDX-License-Identifier: MIT */
/* The 8254 timer (PIT), against whose known frequency the other timers are calibrated at boot. */
#ifndef DRIVERS_PIT_H
#define DRIVERS_PIT_H

#include "kernel/lib/base.h"

#define PIT_HZ 1193182UL

/* Starts a countdown of `ticks` on channel 2; pit_expired() returns whether it is over. One user at a time. */
void pit_start(u16 ticks);
bool pit_expired(void);

#endif
