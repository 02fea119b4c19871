/* SPDX-License-Identifier: MIT */
/*
 * The system calls that report attributes: stat and its variants, statx, statfs. Takes no lock: each value is whole,
 * but may be out of date by the time it is read.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/super.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"

#define STATX_BASIC_STATS 0x7ffu
#define STATX_BTIME 0x800u
#define STATX_RESERVED 0x80000000u
#define AT_STATX_SYNC_TYPE 0x6000u

struct linux_stat {
	u64 dev, ino, nlink;
	u32 mode, uid, gid, pad;
	u64 rdev;
	s64 size, blksize, blocks;
	struct timespec atime, mtime, ctime;
	s64 unused[3];
};
_Static_assert(sizeof(struct linux_stat) == 144, "Linux's struct stat");

struct statx_timestamp {
	s64 sec;
	u32 nsec, reserved;
};

struct linux_statx {
	u32 mask, blksize;
	u64 attributes;
	u32 nlink, uid, gid;
	u16 mode, spare0;
	u64 ino, size, blocks, attributes_mask;
	struct statx_timestamp atime, btime, ctime, mtime;
	u32 rdev_major, rdev_minor, dev_major, dev_minor;
	u64 mnt_id, spare[13];
};
_Static_assert(sizeof(struct linux_statx) == 256, "Linux's struct statx");

static struct timespec to_timespec(u64 ns)
{
	return (struct timespec){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC) };
}

static struct statx_timestamp to_statx_time(u64 ns)
{
	return (struct statx_timestamp){ .sec = (s64)(ns / NSEC_PER_SEC), .nsec = (u32)(ns % NSEC_PER_SEC) };
}

/* Returns the number of blocks of 512 bytes. */
static u64 nr_blocks(const struct inode *inode)
{
	if (inode->mapping && inode->mapping->ops)
		return READ_ONCE(inode->nr_blocks);
	return inode->mapping ? READ_ONCE(inode->mapping->nr_pages) * (PAGE_SIZE / 512) : 0;
}

static u64 shown_size(const struct inode *inode)
{
	return S_ISDIR(inode->mode) && !inode->sb->type->computed ? PAGE_SIZE : inode_size(inode);
}

static long put_stat(const struct inode *inode, u64 addr)
{
	struct linux_stat st = {
		.dev = inode->sb->dev,
		.ino = inode->ino,
		.nlink = inode->nlink,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = inode->rdev,
		.size = (s64)shown_size(inode),
		.blksize = PAGE_SIZE,
		.blocks = (s64)nr_blocks(inode),
		.atime = to_timespec(inode->times.atime),
		.mtime = to_timespec(inode->times.mtime),
		.ctime = to_timespec(inode->times.ctime),
	};

	return copy_to_user(addr, &st, sizeof(st)) ? -EFAULT : 0;
}

static long put_statx(const struct inode *inode, u64 addr)
{
	struct linux_statx st = {
		.mask = STATX_BASIC_STATS | STATX_BTIME,
		.blksize = PAGE_SIZE,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.mode = (u16)inode->mode,
		.ino = inode->ino,
		.size = shown_size(inode),
		.blocks = nr_blocks(inode),
		.atime = to_statx_time(inode->times.atime),
		.btime = to_statx_time(inode->times.btime),
		.ctime = to_statx_time(inode->times.ctime),
		.mtime = to_statx_time(inode->times.mtime),
		.rdev_major = inode->rdev >> 8,
		.rdev_minor = inode->rdev & 0xff,
		.dev_minor = inode->sb->dev,
	};

	return copy_to_user(addr, &st, sizeof(st)) ? -EFAULT : 0;
}

typedef long put_stat_t(const struct inode *inode, u64 addr);

static long stat_fd(int fd, u64 addr, put_stat_t *put)
{
	struct file *file = fget_raw(fd);
	long ret;

	if (!file)
		return -EBADF;
	inode_settle_times(file->inode);
	ret = put(file->inode, addr);
	file_put(file);
	return ret;
}

/* The flags are those of fstatat(). */
static long stat_at(int dirfd, u64 user_path, u32 flags, u64 addr, put_stat_t *put)
{
	u32 how = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct dentry *dentry;
	long ret = user_path_lookup(dirfd, user_path, how, &dentry);

	if (ret)
		return ret;
	inode_settle_times(dentry->inode);
	ret = put(dentry->inode, addr);
	dentry_put(dentry);
	return ret;
}

SYSCALL(stat)
{
	return stat_at(AT_FDCWD, a0, 0, a1, put_stat);
}

SYSCALL(lstat)
{
	return stat_at(AT_FDCWD, a0, AT_SYMLINK_NOFOLLOW, a1, put_stat);
}

SYSCALL(fstat)
{
	return stat_fd((int)a0, a1, put_stat);
}

SYSCALL(newfstatat)
{
	u32 flags = (u32)a3;

	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	return stat_at((int)a0, a1, flags, a2, put_stat);
}

SYSCALL(statx)
{
	u32 flags = (u32)a2;

	if (((u32)a3 & STATX_RESERVED) || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE))
		return -EINVAL;
	return stat_at((int)a0, a1, flags, a4, put_statx);
}

/* --- statfs --- */

#define ST_VALID 0x20UL
#define ST_RELATIME 0x1000UL

struct linux_statfs {
	s64 type, bsize;
	u64 blocks, bfree, bavail, files, ffree;
	s32 fsid[2];
	s64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "Linux's struct statfs");

/* The ST_* flags have the values of MS_*, except for ST_RELATIME. */
static u64 statfs_flags(const struct super_block *sb)
{
	u64 flags = READ_ONCE(sb->flags);

	return (flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_NOATIME | MS_NODIRATIME)) |
	       (flags & MS_RELATIME ? ST_RELATIME : 0);
}

static long put_statfs(const struct inode *inode, u64 addr)
{
	const struct super_block *sb = inode->sb;
	struct super_usage usage = {};

	if (sb->type->usage)
		sb->type->usage(sb, &usage);
	struct linux_statfs st = {
		.type = (s64)sb->type->magic,
		.bsize = PAGE_SIZE,
		.blocks = usage.blocks,
		.bfree = usage.free_blocks,
		.bavail = usage.free_blocks,
		.files = usage.files,
		.ffree = usage.free_files,
		.fsid = { (s32)sb->dev },
		.namelen = NAME_MAX,
		.frsize = PAGE_SIZE,
		.flags = (s64)(ST_VALID | statfs_flags(sb)),
	};

	return copy_to_user(addr, &st, sizeof(st)) ? -EFAULT : 0;
}

SYSCALL(statfs)
{
	return stat_at(AT_FDCWD, a0, 0, a1, put_statfs);
}

SYSCALL(fstatfs)
{
	return stat_fd((int)a0, a1, put_statfs);
}
