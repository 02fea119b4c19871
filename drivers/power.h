/* SPDX-License-Identifier: MIT */
/* Switching the machine off. */
#ifndef DRIVERS_POWER_H
#define DRIVERS_POWER_H

#include "kernel/lib/base.h"

/* Where ACPI says that the machine is switched off (PM1a control block); without it QEMU's usual port is tried. */
void power_set_acpi_port(u16 port);
void power_off(void) __noreturn;

#endif
