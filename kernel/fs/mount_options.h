/* SPDX-License-Identifier: MIT */
/* The options of mount(2): "size=64M,mode=755". */
#ifndef KERNEL_FS_MOUNT_OPTIONS_H
#define KERNEL_FS_MOUNT_OPTIONS_H

#include "kernel/lib/base.h"

struct mount_option {
	char *name;
	char *value; /* "" when there is none */
};

/* Takes the next one off the text at *options, which it cuts to pieces; false at the end. */
bool mount_option_next(char **options, struct mount_option *option);
/* A decimal or (beginning with 0) octal number: 0 or -EINVAL. */
int mount_option_number(const char *text, u64 *value);
/* A number of bytes, with K, M, G behind it or, of all memory, %; as pages, rounded up. 0 or -EINVAL. */
int mount_option_pages(const char *text, u64 *nr_pages);

#endif
