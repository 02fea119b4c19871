/* SPDX-License-Identifier: MIT */
/* Changing the first ramdisk while the machine runs, for programs that swap to it (docs/disks.md has the settings). */
#ifndef USER_DISK_SETTINGS_H
#define USER_DISK_SETTINGS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline bool set_disk(const char *setting, const char *value)
{
	char path[64];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/sys/block/ram0/%s", setting);
	fd = open(path, O_WRONLY);
	done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return done;
}

#endif
