/* SPDX-License-Identifier: MIT */
/*
 * process_vm_readv and process_vm_writev: copies between two address spaces, a page at a time through a kernel buffer.
 *
 * The caller visits the other address space for its half of each copy, so faults there are resolved as usual, except
 * that stacks do not grow. It stays counted as a user of that address space throughout. No lock is held.
 */
#include "kernel/fs/iov.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"

struct transfer {
	struct iov_iter local, remote;
	struct mm *remote_mm;
	char *buf; /* PAGE_SIZE bytes */
	bool write;
};

/* The caller's protection keys do not apply to another's memory: gives access to all keys for this half. */
static size_t remote_half(struct transfer *transfer, size_t n)
{
	u32 rights = nr_keys() > 1 ? keys_read() : 0;
	size_t done;

	task_visit_mm(transfer->remote_mm);
	if (rights)
		keys_write(0);
	done = transfer->write ? iov_copy_to(&transfer->remote, transfer->buf, n)
			       : iov_copy_from(&transfer->remote, transfer->buf, n);

	if (rights)
		keys_write(rights);
	task_leave_visited_mm();
	return done;
}

/* Returns the bytes copied; fewer than n if an address in either address space faults. */
static size_t copy_piece(struct transfer *transfer, size_t n)
{
	size_t got;

	if (transfer->write) {
		got = iov_copy_from(&transfer->local, transfer->buf, n);
		return got ? remote_half(transfer, got) : 0;
	}
	got = remote_half(transfer, n);
	return got ? iov_copy_to(&transfer->local, transfer->buf, got) : 0;
}

static long copy_all_pieces(struct transfer *transfer)
{
	size_t done = 0;

	while (transfer->local.count && transfer->remote.count && !thread_killed()) {
		size_t n = min(min(transfer->local.count, transfer->remote.count), (size_t)PAGE_SIZE);
		size_t copied = copy_piece(transfer, n);

		done += copied;
		if (copied < n)
			return done ? (long)done : -EFAULT;
		cond_resched();
	}
	return (long)done;
}

static long with_remote_mm(s32 pid, struct transfer *transfer)
{
	struct task *task = task_find(pid);
	long answer = -ESRCH;

	if (!task)
		return answer;
	transfer->remote_mm = process_mm(task->process);
	if (transfer->remote_mm) {
		answer = !may_access(task->process, OWN_REAL_IDS) ? -EPERM : copy_all_pieces(transfer);
		mmput(transfer->remote_mm);
	}
	task_put(task);
	return answer;
}

static long transfer_vectors(s32 pid, vaddr_t local, u64 nr_local, vaddr_t remote, u64 nr_remote, bool write)
{
	struct iovec fast[2][UIO_FASTIOV], *allocated[2] = { NULL, NULL };
	struct transfer transfer = { .write = write };
	long answer = iov_import(&transfer.local, local, nr_local, fast[0], &allocated[0]);

	if (!answer)
		answer = iov_import(&transfer.remote, remote, nr_remote, fast[1], &allocated[1]);
	if (!answer && transfer.local.count && transfer.remote.count) { /* as on Linux, otherwise pid is not checked */
		transfer.buf = kmalloc(PAGE_SIZE, ALLOC_WAIT);
		answer = transfer.buf ? with_remote_mm(pid, &transfer) : -ENOMEM;
	}
	kfree(transfer.buf);
	kfree(allocated[1]);
	kfree(allocated[0]);
	return answer;
}

SYSCALL(process_vm_readv)
{
	return a5 ? -EINVAL : transfer_vectors((s32)a0, a1, a2, a3, a4, false);
}

SYSCALL(process_vm_writev)
{
	return a5 ? -EINVAL : transfer_vectors((s32)a0, a1, a2, a3, a4, true);
}
