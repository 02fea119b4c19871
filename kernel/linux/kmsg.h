/* SPDX-License-Identifier: MIT */
/* The file operations of /dev/kmsg. */
#ifndef KERNEL_LINUX_KMSG_H
#define KERNEL_LINUX_KMSG_H

#include "kernel/fs/file.h"

extern const struct file_ops kmsg_ops;

#endif
