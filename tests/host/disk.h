/* SPDX-License-Identifier: MIT */
/*
 * A swap disk of the simulated machine: it works synchronously, or completes each request by an interrupt that the test
 * triggers.
 */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include "mm/swap/swap.h"

struct disk {
	spinlock_t lock;	  /* RANK_LEAF, interrupts off; protects waiting */
	struct list_head waiting; /* struct swap_request.free, in FIFO order */
	u64 nr_pages;
	u8 *data;
	bool async; /* written by WRITE_ONCE, at any time */
	/* by direction (1: writes): one transfer in so many fails, 0: none; written by WRITE_ONCE */
	u32 error_rate[2];
	u64 nr_transfers[2]; /* atomic; transfers begun, by direction */
	u64 nr_waiting;	     /* protected by lock; read by READ_ONCE */
};

/* Creates a disk, which exists until the process ends. */
struct disk *disk_create(u64 nr_pages);
/* Swap on to the disk with that priority, and swap off. Both fail the test on an error. */
void disk_swapon(struct disk *disk, int priority);
void disk_swapoff(struct disk *disk);
/* Swaps on to the disk, with the pages in `bad` marked as bad. Returns what swap_area_add() returns. */
int disk_try_swapon(struct disk *disk, const u32 *bad, u32 nr_bad);
/* Completes the oldest waiting request, as the disk's interrupt would. Returns false if none waits. */
bool disk_complete_one(struct disk *disk);
void disk_complete_all(struct disk *disk);
/* Makes a CPU complete the disk's requests, as its interrupts would, until disk_stop(). */
void disk_start(unsigned cpu, struct disk *disk);
void disk_stop(unsigned cpu);

#endif
