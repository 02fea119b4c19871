/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several files at once. A file's poll() first registers the caller with each wait queue that announces a
 * change of its answer, and then answers; so no change between the answer and the sleep is lost.
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

/* Used by the polling thread only. */
struct poll_table {
	/*
	 * Enqueues a waiter that stays on the queue, instead of the polling thread; see kernel/linux/epoll.c. NULL:
	 * enqueues the thread.
	 */
	void (*enqueue)(struct poll_table *table, struct wait_queue *queue);
	struct poll_entry *entries;
	bool out_of_memory;
	bool needs_polling; /* a file does not announce its changes: poll it every POLL_INTERVAL_NS */
};

#define POLL_INTERVAL_NS 2000000UL

/* Registers the current thread with the queue; does nothing without a table. */
void poll_wait(struct poll_table *table, struct wait_queue *queue);

/* Returns the POLL* events for which the file would not block. */
u32 file_poll(struct file *file, struct poll_table *table);

/*
 * Calls round(arg, table) until it returns non-zero, a signal is pending (-EINTR), or the deadline (ns of ktime_ns())
 * has passed (0). Only the first round gets the table. Its registrations last until this function returns; until then,
 * the polled files must keep a reference. Sleeps.
 */
typedef long poll_round_t(void *arg, struct poll_table *table);
long poll_until(poll_round_t *round, void *arg, u64 deadline);

/*
 * Shared by ppoll and pselect6: convert a user timespec (0: none) to a deadline; return the time left until it; set the
 * signal mask (0: none).
 */
int poll_deadline(u64 user_timespec, u64 *deadline);
u64 poll_time_left(u64 deadline);
int poll_set_mask(u64 user_mask, u64 size);

#endif
