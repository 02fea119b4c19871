/* SPDX-License-Identifier: MIT */
/*
 * pidfds, the descriptors that stand for processes: poll, signals, process_madvise; wait4.c has waitid. The file holds
 * a reference to the process, which keeps it in memory after its end.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/super.h"
#include "kernel/fs/text.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "mm/calls/mmap.h"
#include "mm/page/slab.h"
#include "mm/vma/mman.h"

#define PIDFD_NONBLOCK O_NONBLOCK

static u32 pidfd_poll(struct file *file, struct poll_table *table)
{
	struct process *process = file->private;

	poll_wait(table, &process->end_wait);
	return READ_ONCE(process->zombie) ? POLLIN | POLLRDNORM : 0;
}

static void pidfd_release(struct file *file)
{
	if (file->private)
		process_put(file->private);
}

/* Shows the pid, or -1 if the process has ended and was waited for. */
static void pidfd_show_info(struct file *file, struct text *text)
{
	const struct process *process = file->private;
	struct process *found = process_find(process->pid);
	s32 pid = found == process ? process->pid : -1;

	if (found)
		process_put(found);
	text_printf(text, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_ops pidfd_ops = {
	.poll = pidfd_poll,
	.show_info = pidfd_show_info,
	.release = pidfd_release,
};

struct process *pidfd_process(int fd, u32 *flags)
{
	struct file *file = fget(fd);
	struct process *process = err_ptr(-EBADF);

	if (!file)
		return process;
	if (file->ops == &pidfd_ops) {
		process = file->private;
		process_get(process);
		if (flags)
			*flags = READ_ONCE(file->flags);
	}
	file_put(file);
	return process;
}

struct file *pidfd_file(struct process *process, u32 flags)
{
	struct inode *inode = inode_alloc(&anon_super, 0600, NULL, &pidfd_ops);
	struct file *file =
		inode ? file_open_anon(inode, "anon_inode:[pidfd]", &pidfd_ops, O_RDWR | flags) : err_ptr(-ENOMEM);

	assert_may_sleep();
	if (!is_err(file)) {
		process_get(process);
		file->private = process;
	}
	return file;
}

SYSCALL(pidfd_open)
{
	struct process *process;
	struct task *task;

	if ((s32)a0 <= 0 || ((u32)a1 & ~PIDFD_NONBLOCK))
		return -EINVAL;
	process = process_find((s32)a0);
	if (process) {
		long fd = fd_install_new(pidfd_file(process, (u32)a1), O_CLOEXEC);

		process_put(process);
		return fd;
	}
	task = task_find((s32)a0);
	if (!task)
		return -ESRCH;
	task_put(task);
	return -EINVAL; /* a thread other than the first */
}

/* Fills in the signal to send: the caller's own information, or the same as kill(). Returns: 0 or -errno. */
static int get_info(struct siginfo *info, int sig, vaddr_t user, const struct process *target)
{
	const struct process *self = current->process;

	if (!user) {
		*info = signal_from_caller(sig, SI_USER);
		return 0;
	}
	if (copy_from_user(info, user, sizeof(*info)))
		return -EFAULT;
	if (info->signo != sig)
		return -EINVAL;
	return target != self && (info->code >= 0 || info->code == SI_TKILL) ? -EPERM : 0;
}

static bool was_waited_for(const struct process *process)
{
	bool gone;

	spin_lock(&process_tree_lock);
	gone = list_empty(&process->all_link);
	spin_unlock(&process_tree_lock);
	return gone;
}

SYSCALL(pidfd_send_signal)
{
	struct process *process;
	struct siginfo info;
	int error;

	if ((u32)a3)
		return -EINVAL;
	process = pidfd_process((int)a0, NULL);
	if (is_err(process))
		return ptr_err(process);
	error = get_info(&info, (int)a1, a2, process);
	if (!error && (info.signo < 0 || info.signo > NSIG))
		error = -EINVAL;
	if (!error && was_waited_for(process))
		error = -ESRCH;
	if (!error)
		error = signal_if_permitted(process, &info);
	process_put(process);
	return error;
}

/* ---- process_madvise --------------------------------------------------------------------------------------------- */

static bool advice_for_others(int advice)
{
	return advice == MADV_COLD || advice == MADV_PAGEOUT || advice == MADV_WILLNEED;
}

/* The advice may slow the other process down, so the right to read its memory is not enough. */
static int may_advise(const struct process *process, int advice)
{
	if (process == current->process)
		return 0;
	if (!may_access(process, OWN_FS_IDS))
		return -EACCES;
	if (!advice_for_others(advice))
		return -EINVAL;
	return process_is_privileged(current->process) ? 0 : -EPERM;
}

static long advise(struct mm *mm, struct iov_iter *ranges, int advice)
{
	size_t total = ranges->count;

	while (ranges->count) {
		const struct iovec *range = ranges->iov;
		long error = mm_madvise(mm, range->base, range->len, advice);

		if (error)
			return total == ranges->count ? error : (long)(total - ranges->count);
		ranges->count -= range->len;
		ranges->iov++;
		cond_resched();
	}
	return (long)total;
}

static long advise_process(struct process *process, struct iov_iter *ranges, int advice)
{
	struct mm *mm = process_mm(process);
	long answer;

	if (!mm)
		return -ESRCH;
	answer = may_advise(process, advice);
	if (!answer)
		answer = advise(mm, ranges, advice);
	mmput(mm);
	return answer;
}

SYSCALL(process_madvise)
{
	struct iovec fast[UIO_FASTIOV], *allocated = NULL;
	struct process *process;
	struct iov_iter ranges;
	long answer;

	if ((u32)a4)
		return -EINVAL;
	answer = iov_import(&ranges, a1, a2, fast, &allocated);
	if (answer)
		return answer;
	process = pidfd_process((int)a0, NULL);
	if (is_err(process)) {
		answer = ptr_err(process);
	} else {
		answer = advise_process(process, &ranges, (int)a3);
		process_put(process);
	}
	kfree(allocated);
	return answer;
}
