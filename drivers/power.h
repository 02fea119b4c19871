/* SPDX-License-Identifier: MIT */
/* Switches the machine off. */
#ifndef DRIVERS_POWER_H
#define DRIVERS_POWER_H

#include "kernel/lib/base.h"

/*
 * Sets the port that switches the machine off (PM1a control block), as ACPI gives it. The default is QEMU's usual port.
 */
void power_set_acpi_port(u16 port);
void power_off(void) __noreturn;

#endif
