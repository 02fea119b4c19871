/* SPDX-License-Identifier: MIT */
/* Changes settings of the first ramdisk while the machine runs, for programs that swap to it (docs/disks.md). */
#ifndef USER_DISK_SETTINGS_H
#define USER_DISK_SETTINGS_H

#include "user/lib/text.h"

#include <stdbool.h>
#include <stdio.h>

static inline bool set_disk(const char *setting, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/ram0/%s", setting);
	return write_text(path, value) == (ssize_t)strlen(value);
}

#endif
