/* SPDX-License-Identifier: MIT */
/* Interface to the options of the kernel command line. Constant after boot, so there is nothing to lock. */
#ifndef KERNEL_BOOT_WORDS_H
#define KERNEL_BOOT_WORDS_H

#include "kernel/lib/base.h"

/*
 * Copies the value of the first valid `name=value` on the command line to buf; "" for a bare `name`. Returns false if
 * the option is missing or has only invalid values, so that the default applies. boot_words.c must know the name.
 */
bool boot_option(const char *name, char *buf, size_t size);
/* The same for a number, already checked; returns `otherwise` if there is none. */
u64 boot_number(const char *name, u64 otherwise);
/* Logs unknown options and invalid values. Boot, after the command line is read. */
void boot_words_check(void);

#endif
