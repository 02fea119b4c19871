/* SPDX-License-Identifier: MIT */
/* The battery-backed clock (RTC), which gives the date at boot. */
#ifndef DRIVERS_RTC_H
#define DRIVERS_RTC_H

#include "kernel/lib/base.h"

/* Returns the seconds since 1970, assuming that the clock shows UTC. One caller at a time. */
u64 rtc_read(void);

#endif
