/* SPDX-License-Identifier: MIT */
/* The kernel command line: which words it may have, and what they say. Constant after boot, so there is nothing to lock. */
#ifndef KERNEL_BOOT_WORDS_H
#define KERNEL_BOOT_WORDS_H

#include "kernel/lib/base.h"

/*
 * The value of the first right `name=value` on the command line, copied to buf; "" for a bare `name`. False when there is
 * none, or only with a wrong value: the default holds then. The name must be one that boot_words.c knows.
 */
bool boot_option(const char *name, char *buf, size_t size);
/* The same for a number, which has been checked; `otherwise` when there is none. */
u64 boot_number(const char *name, u64 otherwise);
/* Boot, once the command line has been read: logs words that are not known, and values that are wrong. */
void boot_words_check(void);

#endif
