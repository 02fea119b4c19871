/* SPDX-License-Identifier: MIT */
/* The 8254 timer, used once at boot: a known frequency to measure the others against. */
#ifndef DRIVERS_PIT_H
#define DRIVERS_PIT_H

#include "kernel/lib/base.h"

#define PIT_HZ 1193182UL

/* Starts a countdown of `ticks` on channel 2; then pit_expired() tells when it is over. One user at a time. */
void pit_start(u16 ticks);
bool pit_expired(void);

#endif
