/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several files at once. A file's poll() registers the caller with each wait queue on which a change of the
 * answer is announced, then answers; so no change between the answer and the sleep is lost.
 */
#ifndef KERNEL_FS_POLL_H
#define KERNEL_FS_POLL_H

#include "kernel/sync/wait.h"

struct file;

struct poll_entry {
	struct wait_queue *queue;
	struct waiter waiter;
	struct poll_entry *next;
};

/* All of it belongs to the polling thread. */
struct poll_table {
	/* Not for a thread that polls, but for what stays with the queues: see epoll.c. NULL: a thread. */
	void (*enqueue)(struct poll_table *table, struct wait_queue *queue);
	struct poll_entry *entries;
	bool out_of_memory;
	bool needs_polling; /* some file has no one to announce its changes: ask again every POLL_INTERVAL_NS */
};

#define POLL_INTERVAL_NS 2000000UL

/* Registers the current thread with the queue; does nothing without a table. */
void poll_wait(struct poll_table *table, struct wait_queue *queue);

/* POLL* events of the file that would not block now. */
u32 file_poll(struct file *file, struct poll_table *table);

/*
 * Calls round(arg, table) until it answers other than 0, a signal waits (-EINTR) or the deadline (ns of ktime_ns()) has
 * passed (0). The table is for the first round alone: what is registered stays so until this returns. Files asked in a round keep a reference until this returns. Sleeps.
 */
typedef long poll_round_t(void *arg, struct poll_table *table);
long poll_until(poll_round_t *round, void *arg, u64 deadline);

/* What ppoll and pselect6 share: a user timespec (0: none) as a deadline, what is left of it, the signal mask (0: none). */
int poll_deadline(u64 user_timespec, u64 *deadline);
u64 poll_time_left(u64 deadline);
int poll_set_mask(u64 user_mask, u64 size);

#endif
