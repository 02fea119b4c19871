/* SPDX-License-Identifier: MIT */
/* The character devices in /dev that need no hardware, and the table of all character devices. Takes no lock. */
#include "kernel/fs/devices.h"
#include "kernel/fs/block_file.h"
#include "kernel/fs/console.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/random.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/signal/signal.h"

static long null_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	(void)file, (void)to, (void)pos;
	return 0;
}

/* Discards the data. */
static long null_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	(void)file, (void)pos;
	return (long)from->count;
}

static long zero_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	long done = 0;

	(void)file, (void)pos;
	while (to->count) {
		size_t n = min(to->count, (size_t)PAGE_SIZE), moved = iov_zero(to, n);

		done += (long)moved;
		if (moved < n)
			return done ? done : -EFAULT;
		cond_resched();
		if (signal_pending())
			break;
	}
	return done;
}

static long full_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	(void)file, (void)from, (void)pos;
	return -ENOSPC;
}

static long random_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	u8 bytes[256];
	long done = 0;

	(void)file, (void)pos;
	while (to->count) {
		size_t n = min(to->count, sizeof(bytes));

		random_bytes(bytes, n);
		size_t moved = iov_copy_to(to, bytes, n);
		done += (long)moved;
		if (moved < n)
			return done ? done : -EFAULT;
		cond_resched();
		if (signal_pending())
			break;
	}
	return done;
}

static s64 device_seek(struct file *file, s64 offset, int whence)
{
	(void)file, (void)offset, (void)whence;
	return 0;
}

static const struct file_ops null_ops = { .read = null_read, .write = null_write, .llseek = device_seek };
static const struct file_ops zero_ops = {
	.read = zero_read, .write = null_write, .llseek = device_seek, .maps_as_anonymous = true
};
static const struct file_ops full_ops = { .read = zero_read, .write = full_write, .llseek = device_seek };
static const struct file_ops random_ops = { .read = random_read, .write = null_write, .llseek = device_seek };

static const struct device {
	const char *name;
	u32 rdev, mode;
	const struct file_ops *ops; /* NULL: device_ops() asks for them */
} devices[] = {
	{ "null", DEV_NULL, 0666, &null_ops },
	{ "zero", DEV_ZERO, 0666, &zero_ops },
	{ "full", DEV_FULL, 0666, &full_ops },
	{ "random", DEV_RANDOM, 0666, &random_ops },
	{ "urandom", DEV_URANDOM, 0666, &random_ops },
	{ "kmsg", DEV_KMSG, 0644, NULL },
	{ "ttyS0", DEV_STDIN, 0620, NULL },
	{ "ttyS1", DEV_STDOUT, 0620, NULL },
	{ "ttyS2", DEV_STDERR, 0620, NULL },
	{ "tty", DEV_TTY, 0666, NULL },
	{ "console", DEV_CONSOLE, 0600, NULL },
};

const struct file_ops *device_ops(u32 rdev)
{
	if (rdev == DEV_KMSG)
		return kmsg_file_ops();
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
		if (devices[i].rdev == rdev)
			return devices[i].ops ? devices[i].ops : console_ops(rdev);
	}
	return NULL;
}

static void link_to(struct dentry *dev, const char *name, const char *target)
{
	struct inode *inode = ramfs_symlink(dev->inode->sb, target, strlen(target));

	if (!inode || is_err(dir_add(dev, name, strlen(name), inode)))
		dev->inode->sb->incomplete = true;
}

void devices_create(struct dentry *dev)
{
	assert_rwsem_write_held(&fs_tree_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
		const struct device *d = &devices[i];

		if (is_err(dir_create(dev, d->name, strlen(d->name), S_IFCHR | d->mode, d->rdev)))
			dev->inode->sb->incomplete = true;
	}
	block_files_create(dev);
	link_to(dev, "fd", "/proc/self/fd");
	link_to(dev, "stdin", "/proc/self/fd/0");
	link_to(dev, "stdout", "/proc/self/fd/1");
	link_to(dev, "stderr", "/proc/self/fd/2");
}
