/* SPDX-License-Identifier: MIT */
/*
 * The system calls for permissions, owners and times. Every process runs as root, so these attributes are stored and
 * reported but restrict nothing, except that a file without any x bit cannot be executed. Takes no lock: each value is
 * written whole.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/super.h"
#include "kernel/process/task.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"

#define S_IALLUGO 07777u
#define R_OK 4u
#define W_OK 2u
#define X_OK 1u
#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe
#define UNCHANGED (~0u) /* chown leaves this owner unchanged */

/* Looks up a path and stores its dentry, with a reference. The flags are those of the *at calls. */
static long attr_find(int dirfd, u64 path, u32 flags, struct dentry **dentry)
{
	u32 how = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);

	return user_path_lookup(dirfd, path, how, dentry);
}

static long find_fd(int fd, struct dentry **dentry)
{
	struct file *file = fget(fd);

	if (!file)
		return -EBADF;
	*dentry = dentry_get(file->dentry);
	file_put(file);
	return 0;
}

/* --- access --- */

static long do_access(int dirfd, u64 path, u32 mode, u32 flags)
{
	struct dentry *dentry;
	long ret;

	if ((mode & ~(R_OK | W_OK | X_OK)) || (flags & ~(u32)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	ret = attr_find(dirfd, path, flags, &dentry);
	if (ret)
		return ret;
	u32 have = dentry->inode->mode;
	if ((mode & W_OK) && (S_ISREG(have) || S_ISDIR(have) || S_ISLNK(have)) && super_is_readonly(dentry->inode->sb))
		ret = -EROFS;
	else if ((mode & X_OK) && !S_ISDIR(have) && !(have & 0111))
		ret = -EACCES;
	dentry_put(dentry);
	return ret;
}

SYSCALL(access)
{
	return do_access(AT_FDCWD, a0, (u32)a1, 0);
}

SYSCALL(faccessat)
{
	return do_access((int)a0, a1, (u32)a2, 0);
}

SYSCALL(faccessat2)
{
	return do_access((int)a0, a1, (u32)a2, (u32)a3);
}

/* --- mode --- */

/* `ret` is the result of the look-up. If it is 0, takes over the dentry's reference. */
static long change_mode(long ret, struct dentry *dentry, u32 mode)
{
	struct inode *inode;

	if (ret)
		return ret;
	inode = dentry->inode;
	if (super_is_readonly(inode->sb)) {
		ret = -EROFS;
	} else if (S_ISLNK(inode->mode)) {
		ret = -EOPNOTSUPP;
	} else {
		WRITE_ONCE(inode->mode, (inode->mode & S_IFMT) | (mode & S_IALLUGO));
		inode_touch_ctime(inode);
	}
	dentry_put(dentry);
	return ret;
}

static long chmod_at(int dirfd, u64 path, u32 mode, u32 flags)
{
	struct dentry *dentry = NULL;

	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	long ret = attr_find(dirfd, path, flags, &dentry);
	return change_mode(ret, dentry, mode);
}

SYSCALL(chmod)
{
	return chmod_at(AT_FDCWD, a0, (u32)a1, 0);
}

SYSCALL(fchmod)
{
	struct dentry *dentry = NULL;
	long ret = find_fd((int)a0, &dentry);

	return change_mode(ret, dentry, (u32)a1);
}

SYSCALL(fchmodat)
{
	return chmod_at((int)a0, a1, (u32)a2, 0);
}

SYSCALL(fchmodat2)
{
	return chmod_at((int)a0, a1, (u32)a2, (u32)a3);
}

/* --- owner --- */

static long change_owner(long ret, struct dentry *dentry, u32 uid, u32 gid)
{
	if (ret)
		return ret;
	if (super_is_readonly(dentry->inode->sb)) {
		ret = -EROFS;
	} else {
		if (uid != UNCHANGED)
			WRITE_ONCE(dentry->inode->uid, uid);
		if (gid != UNCHANGED)
			WRITE_ONCE(dentry->inode->gid, gid);
		inode_touch_ctime(dentry->inode);
	}
	dentry_put(dentry);
	return ret;
}

static long chown_at(int dirfd, u64 path, u32 uid, u32 gid, u32 flags)
{
	struct dentry *dentry = NULL;

	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	long ret = attr_find(dirfd, path, flags, &dentry);
	return change_owner(ret, dentry, uid, gid);
}

SYSCALL(chown)
{
	return chown_at(AT_FDCWD, a0, (u32)a1, (u32)a2, 0);
}

SYSCALL(lchown)
{
	return chown_at(AT_FDCWD, a0, (u32)a1, (u32)a2, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(fchownat)
{
	return chown_at((int)a0, a1, (u32)a2, (u32)a3, (u32)a4);
}

SYSCALL(fchown)
{
	struct dentry *dentry = NULL;
	long ret = find_fd((int)a0, &dentry);

	return change_owner(ret, dentry, (u32)a1, (u32)a2);
}

/* --- times --- */

static bool valid_time(const struct timespec *t)
{
	return t->nsec == UTIME_NOW || t->nsec == UTIME_OMIT || (t->nsec >= 0 && t->nsec < (s64)NSEC_PER_SEC);
}

static void set_time(u64 *time, const struct timespec *t)
{
	if (t->nsec == UTIME_NOW)
		WRITE_ONCE(*time, realtime_ns());
	else if (t->nsec != UTIME_OMIT)
		WRITE_ONCE(*time, (u64)t->sec * NSEC_PER_SEC + (u64)t->nsec);
}

static void set_times(struct inode *inode, const struct timespec times[2])
{
	if (times[0].nsec == UTIME_OMIT && times[1].nsec == UTIME_OMIT)
		return;
	inode_settle_times(inode);
	set_time(&inode->times.atime, &times[0]);
	set_time(&inode->times.mtime, &times[1]);
	inode_touch_ctime(inode);
}

static long utimens(int dirfd, u64 path, const struct timespec times[2], u32 flags)
{
	struct dentry *dentry;
	long ret;

	if (!valid_time(&times[0]) || !valid_time(&times[1]))
		return -EINVAL;
	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	ret = !path && dirfd != AT_FDCWD ? find_fd(dirfd, &dentry) : attr_find(dirfd, path, flags, &dentry);
	if (ret)
		return ret;
	if (super_is_readonly(dentry->inode->sb))
		ret = -EROFS;
	else
		set_times(dentry->inode, times);
	dentry_put(dentry);
	return ret;
}

static const struct timespec both_now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

SYSCALL(utimensat)
{
	struct timespec times[2];

	if (!a2)
		return utimens((int)a0, a1, both_now, (u32)a3);
	if (copy_from_user(times, a2, sizeof(times)))
		return -EFAULT;
	return utimens((int)a0, a1, times, (u32)a3);
}

static long utimes_at(int dirfd, u64 path, u64 user_times)
{
	struct timeval tv[2];

	if (!user_times)
		return utimens(dirfd, path, both_now, 0);
	if (copy_from_user(tv, user_times, sizeof(tv)))
		return -EFAULT;
	for (unsigned i = 0; i < 2; i++) {
		if (tv[i].usec < 0 || tv[i].usec >= 1000000)
			return -EINVAL;
	}
	struct timespec times[2] = { { tv[0].sec, tv[0].usec * 1000 }, { tv[1].sec, tv[1].usec * 1000 } };
	return utimens(dirfd, path, times, 0);
}

SYSCALL(utimes)
{
	return utimes_at(AT_FDCWD, a0, a1);
}

SYSCALL(futimesat)
{
	return utimes_at((int)a0, a1, a2);
}

SYSCALL(utime)
{
	s64 sec[2];

	if (!a1)
		return utimens(AT_FDCWD, a0, both_now, 0);
	if (copy_from_user(sec, a1, sizeof(sec)))
		return -EFAULT;
	struct timespec times[2] = { { sec[0], 0 }, { sec[1], 0 } };
	return utimens(AT_FDCWD, a0, times, 0);
}

/* --- umask --- */

SYSCALL(umask)
{
	struct fs_context *fs = current->fs;
	u32 old;

	spin_lock(&fs->lock);
	old = fs->umask;
	WRITE_ONCE(fs->umask, (u32)a0 & 0777);
	spin_unlock(&fs->lock);
	return old;
}
