/* SPDX-License-Identifier: MIT */
/* The battery-backed clock: the date at boot. */
#ifndef DRIVERS_RTC_H
#define DRIVERS_RTC_H

#include "kernel/lib/base.h"

/* Seconds since 1970, taking the clock to show UTC. One caller at a time. */
u64 rtc_read(void);

#endif
