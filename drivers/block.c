/* SPDX-License-Identifier: MIT */
/*
 * Block devices: their list, and how a request is carried out. The only driver is the ramdisk, so a transfer is a copy.
 *
 * Locks: the device's own (RANK_LEAF), for the generator of errors alone. A request belongs to its submitter before
 * block_submit(), and to this file until done().
 */
#include "drivers/block.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "mm/page/page.h"

#define RAMDISK_MAJOR 1u

static struct block_device *devices[MAX_BLOCK_DEVICES]; /* constant after boot */
static unsigned nr_devices;

bool block_register(struct block_device *device)
{
	if (nr_devices == MAX_BLOCK_DEVICES)
		return false;
	spin_init(&device->lock, RANK_LEAF);
	block_seed(device, 1);
	device->rdev = RAMDISK_MAJOR << 8 | nr_devices;
	devices[nr_devices++] = device;
	return true;
}

struct block_device *block_nth(unsigned n)
{
	return n < nr_devices ? devices[n] : NULL;
}

struct block_device *block_find(u32 rdev)
{
	return rdev >> 8 == RAMDISK_MAJOR ? block_nth(rdev & 0xff) : NULL;
}

bool block_claim(struct block_device *device, void *owner)
{
	void *nobody = NULL;

	return __atomic_compare_exchange_n(&device->owner, &nobody, owner, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void block_release(struct block_device *device)
{
	store_release(&device->owner, NULL);
}

/* ---- Injected errors --------------------------------------------------------------------------------------------- */

void block_seed(struct block_device *device, u64 seed)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);

	device->random = seed ^ 0x9e3779b97f4a7c15UL; /* not 0 for any likely seed */
	spin_unlock_irqrestore(&device->lock, flags);
}

/* Marsaglia's xorshift64. */
static u64 block_next_random(struct block_device *device)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);
	u64 x = device->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	device->random = x;
	spin_unlock_irqrestore(&device->lock, flags);
	return x;
}

static bool fails_by_chance(struct block_request *request)
{
	u64 rate = READ_ONCE(request->device->error_rate[request->direction]);

	return rate && (block_next_random(request->device) >> 11) % rate == 0;
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static bool is_beyond_end(const struct block_request *request)
{
	u64 sector = request->sector;

	return sector % SECTORS_PER_PAGE || sector >= request->device->nr_sectors;
}

static void block_file_transfer(struct block_request *request)
{
	u8 *place = request->device->data + (request->sector << SECTOR_SHIFT);

	if (request->direction == BLOCK_READ)
		copy_page(page_to_virt(request->page), place);
	else
		copy_page(place, page_to_virt(request->page));
}

/* A device that was removed in the meantime also fails the requests that it has accepted. */
static void complete(struct block_request *request)
{
	struct block_device *device = request->device;

	if (READ_ONCE(device->removed))
		request->error = -EIO;
	if (request->error)
		atomic_inc(&device->nr_errors[request->direction]);
	else
		block_file_transfer(request);
	atomic_add_return(&device->in_flight, -1UL);
	request->done(request);
}

static void request_expired(struct timer *timer)
{
	complete(container_of(timer, struct block_request, timer));
}

static void block_begin(struct block_request *request)
{
	struct block_device *device = request->device;

	ASSERT(request->direction == BLOCK_READ || request->direction == BLOCK_WRITE, "a request reads or writes");
	atomic_inc(&device->nr_requests[request->direction]);
	atomic_inc(&device->in_flight);
	request->error = is_beyond_end(request) || fails_by_chance(request) ? -EIO : 0;
}

static void nothing_follows(struct block_request *request)
{
	(void)request;
}

int block_read_now(struct block_device *device, u64 sector, struct page *page)
{
	struct block_request request = {
		.device = device, .sector = sector, .page = page, .direction = BLOCK_READ, .done = nothing_follows
	};

	if (READ_ONCE(device->async))
		return -EAGAIN;
	block_begin(&request);
	complete(&request);
	return request.error;
}

void block_submit(struct block_request *request)
{
	struct block_device *device = request->device;

	block_begin(request);
	if (!READ_ONCE(device->async)) {
		complete(request);
		return;
	}
	timer_init(&request->timer, request_expired);
	timer_arm(&request->timer, ktime_ns() + READ_ONCE(device->latency_us) * (NSEC_PER_SEC / 1000000));
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

struct waited_request {
	struct block_request request;
	struct thread *thread;
	bool finished; /* set by done(), with release order */
};

/*
 * Once `finished` is set, the waiter may return and its stack frame is gone, so `thread` is read before. The thread
 * itself exists for at least one RCU grace period more.
 */
static void wake_submitter(struct block_request *request)
{
	struct waited_request *waited = container_of(request, struct waited_request, request);
	struct thread *thread = waited->thread;

	store_release(&waited->finished, true);
	thread_wake(thread);
}

int block_transfer(struct block_device *device, enum block_direction direction, u64 sector, struct page *page)
{
	struct waited_request waited = {
		.request = { .device = device,
			     .sector = sector,
			     .page = page,
			     .direction = direction,
			     .done = wake_submitter },
		.thread = current_thread(),
	};
	u64 began;

	assert_may_sleep();
	block_submit(&waited.request);
	began = thread_io_wait_begin();
	for (;;) {
		thread_prepare_sleep(SLEEP_UNINTERRUPTIBLE);
		if (load_acquire(&waited.finished))
			break;
		thread_sleep();
	}
	thread_cancel_sleep();
	thread_io_wait_end(began);
	return waited.request.error;
}
