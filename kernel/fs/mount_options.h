/* SPDX-License-Identifier: MIT */
/* Parsing of the options of mount(2), such as "size=64M,mode=755". */
#ifndef KERNEL_FS_MOUNT_OPTIONS_H
#define KERNEL_FS_MOUNT_OPTIONS_H

#include "kernel/lib/base.h"

struct mount_option {
	char *name;
	char *value; /* "" when there is none */
};

/* Splits the next option off the text at *options, which it modifies. Returns false at the end. */
bool mount_option_next(char **options, struct mount_option *option);
/* Parses a decimal or (beginning with 0) octal number. Returns 0 or -EINVAL. */
int mount_option_number(const char *text, u64 *value);
/*
 * Parses a size in units of `unit` bytes, with a suffix K, M or G, or (unit 1) in percent (%) of all memory. Rounds it
 * up to pages. Returns 0 or -EINVAL.
 */
int mount_option_pages(const char *text, u64 unit, u64 *nr_pages);

#endif
