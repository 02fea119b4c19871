/* SPDX-License-Identifier: MIT */
/* The system calls dup, dup2, dup3, fcntl and ioctl. Locks: those of files.c. */
#include "kernel/fs/files.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/memfd.h"
#include "kernel/fs/pipe.h"
#include "kernel/fs/ramfs.h"
#include "kernel/linux_hooks.h"
#include "kernel/uaccess.h"

#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_SETOWN 8
#define F_GETOWN 9
#define F_SETSIG 10
#define F_GETSIG 11
#define F_DUPFD_CLOEXEC 1030
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define FD_CLOEXEC 1u

#define FIOCLEX 0x5451u
#define FIONCLEX 0x5450u
#define FIONBIO 0x5421u
#define FIONREAD 0x541bu

/* The flags that F_SETFL may change. */
#define SETTABLE_FLAGS (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

static long dup_from(int fd, u64 min, u32 flags)
{
	struct file *file = fget_raw(fd);
	int new;

	if (!file)
		return -EBADF;
	new = fd_reserve((unsigned)min, flags);
	if (new < 0)
		file_put(file);
	else
		fd_install(new, file);
	return new;
}

static long dup_to(unsigned fd, unsigned new, u32 flags)
{
	struct file *file = fget_raw((int)fd);
	int ret;

	if (!file)
		return -EBADF;
	ret = new >= rlimit_nofile() ? -EBADF : fd_replace(new, file, flags);
	if (ret < 0)
		file_put(file);
	return ret;
}

SYSCALL(dup)
{
	return dup_from((int)a0, 0, 0);
}

SYSCALL(dup2)
{
	unsigned fd = (unsigned)a0, new = (unsigned)a1;

	if (fd == new)
		return fd_cloexec_get(fd) < 0 ? -EBADF : (long)new;
	return dup_to(fd, new, 0);
}

SYSCALL(dup3)
{
	if ((unsigned)a0 == (unsigned)a1 || ((u32)a2 & ~(u32)O_CLOEXEC))
		return -EINVAL;
	return dup_to((unsigned)a0, (unsigned)a1, (u32)a2);
}

static long fd_set_flags(struct file *file, u32 flags)
{
	WRITE_ONCE(file->flags, (file->flags & ~(u32)SETTABLE_FLAGS) | (flags & SETTABLE_FLAGS));
	return 0;
}

/* Returns true for the commands that are also valid for an O_PATH descriptor. */
static bool command_of_descriptor(u32 cmd)
{
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC || cmd == F_GETFD || cmd == F_SETFD || cmd == F_GETFL;
}

static long file_control(struct file *file, int fd, u32 cmd, u64 arg)
{
	if ((file->mode & FMODE_PATH) && !command_of_descriptor(cmd))
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if ((u32)arg >= rlimit_nofile())
			return -EINVAL;
		return dup_from(fd, (u32)arg, cmd == F_DUPFD ? 0 : O_CLOEXEC);
	case F_GETFD:
		return fd_cloexec_get((unsigned)fd);
	case F_SETFD:
		return fd_cloexec_set((unsigned)fd, arg & FD_CLOEXEC);
	case F_GETFL:
		return (long)file->flags;
	case F_SETFL:
		return fd_set_flags(file, (u32)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return record_lock_control(file, fd, cmd, arg);
	case F_SETOWN: /* no file sends signals, so these settings have no effect */
	case F_GETOWN:
	case F_SETSIG:
	case F_GETSIG:
		return 0;
	case F_GETPIPE_SZ:
		return pipe_get_size(file);
	case F_SETPIPE_SZ:
		return pipe_set_size(file, (u32)arg);
	case F_ADD_SEALS:
		return memfd_add_seals(file, (u32)arg);
	case F_GET_SEALS:
		return memfd_get_seals(file);
	}
	return -EINVAL;
}

SYSCALL(fcntl)
{
	struct file *file = fget_raw((int)a0);
	long ret;

	if (!file)
		return -EBADF;
	ret = file_control(file, (int)a0, (u32)a1, a2);
	file_put(file);
	return ret;
}

static long file_ioctl(struct file *file, int fd, u32 cmd, u64 arg)
{
	s32 value;

	switch (cmd) {
	case FIOCLEX:
		return fd_cloexec_set((unsigned)fd, true);
	case FIONCLEX:
		return fd_cloexec_set((unsigned)fd, false);
	case FIONBIO:
		if (get_user(&value, arg))
			return -EFAULT;
		return fd_set_flags(file, value ? file->flags | O_NONBLOCK : file->flags & ~(u32)O_NONBLOCK);
	case FIONREAD:
		if (!S_ISREG(file->inode->mode))
			break;
		return put_user((s32)(inode_size(file->inode) - READ_ONCE(file->pos)), arg);
	}
	return file->ops->ioctl ? file->ops->ioctl(file, cmd, arg) : -ENOTTY;
}

SYSCALL(ioctl)
{
	struct file *file = fget((int)a0);
	long ret;

	if (!file)
		return -EBADF;
	ret = file_ioctl(file, (int)a0, (u32)a1, a2);
	file_put(file);
	return ret;
}
