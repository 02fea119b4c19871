/* SPDX-License-Identifier: MIT */
/*
 * Waiting for files: the registration with wait queues that all files share, and poll(2) and ppoll(2). Holds no lock
 * while it polls the files; each has a reference for the duration of the call.
 */
#include "kernel/fs/poll.h"
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/signal/signal.h"
#include "kernel/process/task.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/time/timer.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define POLL_ALWAYS (POLLERR | POLLHUP | POLLNVAL)
#define POLL_DEFAULT (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) /* of files that are always ready */

void poll_wait(struct poll_table *table, struct wait_queue *queue)
{
	struct poll_entry *entry;

	if (!table)
		return;
	if (table->enqueue) {
		table->enqueue(table, queue);
		return;
	}
	entry = kmalloc(sizeof(*entry), 0);
	if (!entry) {
		table->out_of_memory = true;
		return;
	}
	*entry = (struct poll_entry){ .queue = queue, .next = table->entries, .waiter.thread = current_thread() };
	list_init(&entry->waiter.link);
	table->entries = entry;
	wait_enqueue(queue, &entry->waiter);
}

/* Puts waiters that were woken, and thereby dequeued, back on their queues before the files are polled again. */
static void poll_table_enqueue(struct poll_table *table)
{
	for (struct poll_entry *entry = table->entries; entry; entry = entry->next)
		wait_enqueue(entry->queue, &entry->waiter);
}

static void poll_table_release(struct poll_table *table)
{
	struct poll_entry *entry, *next;

	for (entry = table->entries; entry; entry = next) {
		next = entry->next;
		wait_dequeue(entry->queue, &entry->waiter);
		kfree(entry);
	}
}

u32 file_poll(struct file *file, struct poll_table *table)
{
	return file->ops->poll ? file->ops->poll(file, table) : POLL_DEFAULT;
}

/*
 * Returns true if no wake-up has come since the files were polled; a wake-up takes the waiter off its queue. Called
 * after the sleep was announced, so the unlocked check is enough: a later wake-up finds the announced sleep and ends
 * it.
 */
static bool still_waiting(const struct poll_table *table)
{
	for (struct poll_entry *entry = table->entries; entry; entry = entry->next) {
		if (READ_ONCE(entry->waiter.link.next) == &entry->waiter.link)
			return false;
	}
	return true;
}

/* Sleeps until a wake-up or the deadline. Returns false if the deadline has passed. */
static bool poll_sleep(const struct poll_table *table, u64 deadline)
{
	u64 until = table->needs_polling ? min(deadline, ktime_ns() + POLL_INTERVAL_NS) : deadline;

	assert_may_sleep();
	thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
	if (!still_waiting(table)) {
		thread_cancel_sleep();
		return true;
	}
	return sleep_until(until) || ktime_ns() < deadline;
}

long poll_until(poll_round_t *round, void *arg, u64 deadline)
{
	struct poll_table table = {};
	bool wait = deadline > ktime_ns();
	long ret = round(arg, wait ? &table : NULL);

	assert_may_sleep();
	for (;;) {
		if (!ret && table.out_of_memory)
			ret = -ENOMEM;
		if (!ret && wait && signal_pending())
			ret = -EINTR;
		if (ret || !wait)
			break;
		wait = poll_sleep(&table, deadline);
		poll_table_enqueue(&table);
		ret = round(arg, NULL);
	}
	poll_table_release(&table);
	return ret;
}

/* --- poll and ppoll --- */

struct pollfd {
	s32 fd;
	s16 events, revents;
};

struct poll_call {
	struct pollfd *fds;
	struct file **files;
	u64 nr;
};

static long poll_round(void *arg, struct poll_table *table)
{
	struct poll_call *call = arg;
	long ready = 0;

	for (u64 i = 0; i < call->nr; i++) {
		struct pollfd *p = &call->fds[i];
		u32 events = 0;

		if (call->files[i])
			events = file_poll(call->files[i], ready ? NULL : table) & ((u16)p->events | POLL_ALWAYS);
		else if (p->fd >= 0)
			events = POLLNVAL;
		p->revents = (s16)events;
		ready += events != 0;
	}
	return ready;
}

static long poll_files(struct poll_call *call, u64 user_fds, u64 deadline)
{
	long ret;

	for (u64 i = 0; i < call->nr; i++)
		call->files[i] = call->fds[i].fd >= 0 ? fget(call->fds[i].fd) : NULL;
	ret = poll_until(poll_round, call, deadline);
	for (u64 i = 0; i < call->nr; i++) {
		if (call->files[i])
			file_put(call->files[i]);
	}
	for (u64 i = 0; ret >= 0 && i < call->nr; i++) {
		u64 at = user_fds + i * sizeof(struct pollfd) + __builtin_offsetof(struct pollfd, revents);
		if (put_user(call->fds[i].revents, at))
			ret = -EFAULT;
	}
	return ret;
}

static long do_poll(u64 user_fds, u64 nr, u64 deadline)
{
	struct poll_call call = { .nr = nr };
	long ret = -ENOMEM;

	if (nr > rlimit_nofile())
		return -EINVAL;
	call.fds = kmalloc(max(nr, 1UL) * sizeof(call.fds[0]), ALLOC_WAIT);
	call.files = kmalloc(max(nr, 1UL) * sizeof(call.files[0]), ALLOC_WAIT);
	if (call.fds && call.files)
		ret = copy_from_user(call.fds, user_fds, nr * sizeof(call.fds[0]))
			      ? -EFAULT
			      : poll_files(&call, user_fds, deadline);
	kfree(call.fds);
	kfree(call.files);
	return ret == -EINTR ? -ERESTARTNOHAND : ret;
}

SYSCALL(poll)
{
	s32 ms = (s32)a2;

	return do_poll(a0, (u32)a1, ms < 0 ? TIME_NEVER : ktime_ns() + (u64)ms * 1000000);
}

int poll_deadline(u64 user_timespec, u64 *deadline)
{
	u64 ns, now = ktime_ns();
	int ret;

	*deadline = TIME_NEVER;
	if (!user_timespec)
		return 0;
	ret = get_timespec(&ns, user_timespec);
	if (!ret && ns < TIME_NEVER - now)
		*deadline = now + ns;
	return ret;
}

u64 poll_time_left(u64 deadline)
{
	u64 now = ktime_ns();

	return deadline > now ? deadline - now : 0;
}

int poll_set_mask(u64 user_mask, u64 size)
{
	u64 mask;

	if (!user_mask)
		return 0;
	if (size != sizeof(mask))
		return -EINVAL;
	if (get_user(&mask, user_mask))
		return -EFAULT;
	signal_set_temporary_mask(mask);
	return 0;
}

SYSCALL(ppoll)
{
	u64 deadline;
	long ret = poll_deadline(a2, &deadline);

	if (!ret)
		ret = poll_set_mask(a3, a4);
	if (ret)
		return ret;
	ret = do_poll(a0, (u32)a1, deadline);
	if (ret != -ERESTARTNOHAND)
		signal_restore_mask();
	if (a2)
		(void)!put_timespec(a2,
				    poll_time_left(deadline)); /* in read-only memory that is no error, as on Linux */
	return ret;
}
