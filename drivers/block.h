/* SPDX-License-Identifier: MIT */
/*
 * The block layer: devices that move whole pages, and the requests that ask them to.
 *
 * A request names a device, a place on it, a page and a direction. block_submit() hands it over; done() is called exactly
 * once, when the data are there or an error is known: by the submitter itself on a synchronous device, from a timer
 * interrupt on an asynchronous one.
 *
 * How a device behaves can be changed while requests are under way (/sys/block/ramN). Each setting is one word, read once
 * for each request: a request that is already under way keeps what it started with.
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
	char name[8];	/* constant after boot, and so are the next three */
	u32 rdev;	/* major and minor, as st_rdev */
	u64 nr_sectors; /* of 512 bytes; whole pages */
	u8 *data;

	/* Settings: written by WRITE_ONCE at any time. */
	bool async;	   /* completed from a timer interrupt; false: copied by the submitter */
	bool removed;	   /* every request fails from now on */
	u64 latency_us;	   /* asynchronous: from the submission to the completion */
	u64 error_rate[2]; /* by direction: one request in so many fails, by chance; 0: none does, 1: each */

	spinlock_t lock; /* RANK_LEAF, interrupts off: the next field */
	u64 random;	 /* state of the generator of errors */

	u64 nr_requests[2], nr_errors[2]; /* atomic; by direction */
	u64 in_flight;			  /* atomic */
	void *owner;			  /* atomic; who uses it alone (a mounted file system), or NULL */
};

struct block_request {
	struct block_device *device; /* these five and what follows them: set by the submitter */
	u64 sector;		     /* where on the device; a multiple of SECTORS_PER_PAGE */
	struct page *page;	     /* with a reference that lasts until done() */
	enum block_direction direction;
	void (*done)(struct block_request *request); /* any context, interrupts maybe off; may free the request */
	int error;				     /* for done(): 0 or -EIO */
	struct timer timer;			     /* the driver's */
};

/* Starts the transfer of one page; a place beyond the end fails with -EIO like any other error. Does not sleep. */
void block_submit(struct block_request *request);
/* Transfers one page and waits for it: 0 or -EIO. Sleeps, uninterruptibly. */
int block_transfer(struct block_device *device, enum block_direction direction, u64 sector, struct page *page);
static inline int block_read_sync(struct block_device *device, u64 sector, struct page *page)
{
	assert_may_sleep();
	return block_transfer(device, BLOCK_READ, sector, page);
}

/* Reads one page without sleeping: 0 or -EIO; -EAGAIN on a device that is asynchronous just now. */
int block_read_now(struct block_device *device, u64 sector, struct page *page);

/* The device with that number (as st_rdev), or NULL; and the n-th one, or NULL. They stay for good. */
struct block_device *block_find(u32 rdev);
struct block_device *block_nth(unsigned n);
/* Makes `owner` the only user: true, or false when somebody else is. And gives the device back. */
bool block_claim(struct block_device *device, void *owner);
void block_release(struct block_device *device);
/* Starts the generator of errors anew: the same seed and the same requests give the same errors. Does not sleep. */
void block_seed(struct block_device *device, u64 seed);

/* Boot: makes a device known, with the number that its place in the list gives it. False when there are too many. */
bool block_register(struct block_device *device);

#endif
