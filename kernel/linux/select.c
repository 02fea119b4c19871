/* SPDX-License-Identifier: MIT */
/* select(2) and pselect6(2), on top of poll.c. */
#include "kernel/fs/files.h"
#include "kernel/fs/poll.h"
#include "kernel/signal/signal.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/time/timer.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

enum { SET_READ, SET_WRITE, SET_EXCEPT, NR_SETS };

static const u32 set_events[NR_SETS] = {
	[SET_READ] = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
	[SET_WRITE] = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR,
	[SET_EXCEPT] = POLLPRI,
};

struct select_call {
	unsigned nr;	   /* descriptors to check */
	size_t set_size;   /* bytes of one set */
	u64 user[NR_SETS]; /* user addresses; 0: no such set */
	u64 *asked[NR_SETS], *ready[NR_SETS];
	struct file **files; /* [nr]; NULL: in no set */
};

static bool in_set(const u64 *set, unsigned fd)
{
	return set[fd / 64] >> (fd % 64) & 1;
}

static long select_round(void *arg, struct poll_table *table)
{
	struct select_call *call = arg;
	long nr_ready = 0;

	for (unsigned fd = 0; fd < call->nr; fd++) {
		if (!call->files[fd])
			continue;
		u32 events = file_poll(call->files[fd], nr_ready ? NULL : table);
		for (unsigned i = 0; i < NR_SETS; i++) {
			if (!in_set(call->asked[i], fd) || !(events & set_events[i]))
				continue;
			call->ready[i][fd / 64] |= 1UL << (fd % 64);
			nr_ready++;
		}
	}
	return nr_ready;
}

static long get_files(struct select_call *call)
{
	for (unsigned fd = 0; fd < call->nr; fd++) {
		bool asked = false;

		for (unsigned i = 0; i < NR_SETS; i++)
			asked |= in_set(call->asked[i], fd);
		if (asked && !(call->files[fd] = fget((int)fd)))
			return -EBADF;
	}
	return 0;
}

static long select_files(struct select_call *call, u64 deadline)
{
	long ret = get_files(call);

	if (!ret)
		ret = poll_until(select_round, call, deadline);
	for (unsigned fd = 0; fd < call->nr; fd++) {
		if (call->files[fd])
			file_put(call->files[fd]);
	}
	for (unsigned i = 0; ret >= 0 && i < NR_SETS; i++) {
		if (call->user[i] && copy_to_user(call->user[i], call->ready[i], call->set_size))
			ret = -EFAULT;
	}
	return ret;
}

/* One block of memory holds the six sets and the files. */
static long select_in(struct select_call *call, u8 *block, u64 deadline)
{
	size_t room = align_up(call->set_size, 8);

	for (unsigned i = 0; i < NR_SETS; i++) {
		call->asked[i] = (u64 *)(block + 2 * i * room);
		call->ready[i] = (u64 *)(block + (2 * i + 1) * room);
		if (call->user[i] && copy_from_user(call->asked[i], call->user[i], call->set_size))
			return -EFAULT;
	}
	call->files = (struct file **)(block + 2 * NR_SETS * room);
	return select_files(call, deadline);
}

static long do_select(s32 nr, const u64 user[NR_SETS], u64 deadline)
{
	struct select_call call = { .user = { user[0], user[1], user[2] } };
	u8 *block;
	long ret;

	if (nr < 0)
		return -EINVAL;
	call.nr = min((unsigned)nr, READ_ONCE(current->files->capacity)); /* there are no descriptors beyond */
	call.set_size = align_up((size_t)call.nr, 64) / 8;
	block = kmalloc(2 * NR_SETS * call.set_size + (call.nr + 1) * sizeof(call.files[0]), ALLOC_ZERO | ALLOC_WAIT);
	if (!block)
		return -ENOMEM;
	ret = select_in(&call, block, deadline);
	kfree(block);
	return ret == -EINTR ? -ERESTARTNOHAND : ret;
}

static int timeval_deadline(u64 user_timeval, u64 *deadline)
{
	struct timeval tv;

	*deadline = TIME_NEVER;
	if (!user_timeval)
		return 0;
	if (copy_from_user(&tv, user_timeval, sizeof(tv)))
		return -EFAULT;
	s64 sec;
	if (tv.sec < 0 || tv.usec < 0 || __builtin_add_overflow(tv.sec, tv.usec / 1000000, &sec))
		return -EINVAL;
	if (sec < 9000000000)
		*deadline = ktime_ns() + (u64)sec * NSEC_PER_SEC + (u64)(tv.usec % 1000000) * 1000;
	return 0;
}

SYSCALL(select)
{
	u64 deadline, left;
	long ret = timeval_deadline(a4, &deadline);

	if (ret)
		return ret;
	ret = do_select((s32)a0, (const u64[]){ a1, a2, a3 }, deadline);
	left = poll_time_left(deadline);
	struct timeval tv = { (s64)(left / NSEC_PER_SEC), (s64)(left % NSEC_PER_SEC / 1000) };
	if (a4)
		(void)!copy_to_user(a4, &tv, sizeof(tv)); /* in read-only memory that is no error, as on Linux */
	return ret;
}

SYSCALL(pselect6)
{
	struct {
		u64 mask, size;
	} sigmask = {};
	u64 deadline;
	long ret = poll_deadline(a4, &deadline);

	if (!ret && a5 && copy_from_user(&sigmask, a5, sizeof(sigmask)))
		ret = -EFAULT;
	if (!ret)
		ret = poll_set_mask(sigmask.mask, sigmask.size);
	if (ret)
		return ret;
	ret = do_select((s32)a0, (const u64[]){ a1, a2, a3 }, deadline);
	if (ret != -ERESTARTNOHAND)
		signal_restore_mask();
	if (a4)
		(void)!put_timespec(a4, poll_time_left(deadline));
	return ret;
}
