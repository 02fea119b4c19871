/* SPDX-License-Identifier: MIT */
/*
 * The block layer: devices that transfer whole pages, and the requests for such transfers.
 *
 * A request names a device, a sector, a page and a direction. block_submit() starts it; done() is called exactly once,
 * when the page has been transferred or an error is known: by the submitter itself on a synchronous device, from a
 * timer interrupt on an asynchronous one.
 *
 * The settings of a device can be changed while requests are in flight (/sys/block/ramN). Each setting is one word,
 * which a request reads once: `removed` when it completes, the others when it is submitted.
 */
#ifndef DRIVERS_BLOCK_H
#define DRIVERS_BLOCK_H

#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"

#define SECTOR_SHIFT 9
#define SECTORS_PER_PAGE (PAGE_SIZE >> SECTOR_SHIFT)
#define MAX_BLOCK_DEVICES 16
#define MAX_BLOCK_LATENCY_US 1000000000UL

struct page;

enum block_direction { BLOCK_READ, BLOCK_WRITE };

struct block_device {
	char name[8];	/* constant after boot, like the next three */
	u32 rdev;	/* major and minor, as st_rdev */
	u64 nr_sectors; /* of 512 bytes; whole pages */
	u8 *data;

	/* Settings: written by WRITE_ONCE at any time. */
	bool async;	   /* completed from a timer interrupt; false: copied by the submitter */
	bool removed;	   /* every request fails from then on */
	u64 latency_us;	   /* asynchronous: from the submission to the completion */
	u64 error_rate[2]; /* by direction: one request in this many fails at random; 0: none, 1: each */

	spinlock_t lock; /* RANK_LEAF, interrupts off; protects the next field */
	u64 random;	 /* state of the generator of errors */

	u64 nr_requests[2], nr_errors[2]; /* atomic; by direction */
	u64 in_flight;			  /* atomic */
	void *owner;			  /* atomic; its only user (a mounted file system), or NULL */
};

struct block_request {
	struct block_device *device; /* set by the submitter, like the next four */
	u64 sector;		     /* the first one; a multiple of SECTORS_PER_PAGE */
	struct page *page;	     /* with a reference that lasts until done() */
	enum block_direction direction;
	void (*done)(struct block_request *request); /* any context, interrupts may be off; may free the request */
	int error;				     /* valid in done(): 0 or -EIO */
	struct timer timer;			     /* used by the driver */
};

/* Starts the transfer of one page. A sector beyond the end fails with -EIO like any other error. Does not sleep. */
void block_submit(struct block_request *request);
/* Transfers one page and waits for it. Returns 0 or -EIO. Sleeps, uninterruptibly. */
int block_transfer(struct block_device *device, enum block_direction direction, u64 sector, struct page *page);
static inline int block_read_sync(struct block_device *device, u64 sector, struct page *page)
{
	assert_may_sleep();
	return block_transfer(device, BLOCK_READ, sector, page);
}

/* Reads one page without sleeping. Returns 0 or -EIO, or -EAGAIN on a device that is asynchronous at the moment. */
int block_read_now(struct block_device *device, u64 sector, struct page *page);

/* Return the device with this number (as in st_rdev), or the n-th device, or NULL. The pointers stay valid. */
struct block_device *block_find(u32 rdev);
struct block_device *block_nth(unsigned n);
/*
 * block_claim() makes `owner` the only user and returns true, or returns false if there is another one. block_release()
 * ends the claim.
 */
bool block_claim(struct block_device *device, void *owner);
void block_release(struct block_device *device);
/* Restarts the generator of errors: the same seed and the same requests give the same errors. Does not sleep. */
void block_seed(struct block_device *device, u64 seed);

/* Boot: adds a device to the list. Its number is its place in the list. Returns false if there are too many. */
bool block_register(struct block_device *device);

#endif
