/* SPDX-License-Identifier: MIT */
/* A disk of the simulated machine, for swap: synchronous, or completed by an interrupt when a test says so. */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include "mm/swap/swap.h"

struct disk {
	spinlock_t lock;	/* RANK_LEAF, interrupts off: waiting */
	struct list_head waiting; /* struct swap_request.free, first in first out */
	u64 nr_pages;
	u8 *data;
	bool async;	       /* by WRITE_ONCE, at any time */
	u32 error_rate[2];     /* by direction (1: writes): one in so many fails; 0: none; by WRITE_ONCE */
	u64 nr_transfers[2];   /* atomic: begun, by direction */
	u64 nr_waiting;	       /* lock; read by READ_ONCE */
};

/* A new disk, which lives as long as the process. */
struct disk *disk_create(u64 nr_pages);
/* Swaps to it, with that priority. Both insist on success. */
void disk_swapon(struct disk *disk, int priority);
void disk_swapoff(struct disk *disk);
/* Swaps to it, where those of its pages that are named are bad. Answers as swap_area_add(). */
int disk_try_swapon(struct disk *disk, const u32 *bad, u32 nr_bad);
/* The interrupt of the oldest request that waits. False: there is none. */
bool disk_complete_one(struct disk *disk);
void disk_complete_all(struct disk *disk);
/* Lets a CPU play the disk's interrupts until disk_stop(). */
void disk_start(unsigned cpu, struct disk *disk);
void disk_stop(unsigned cpu);

#endif
