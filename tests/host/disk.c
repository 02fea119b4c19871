/* SPDX-License-Identifier: MIT */
/* The simulated swap disk: its swap_device_ops, and the functions that complete its requests. See disk.h. */
#include "test.h"

#include "disk.h"
#include "sim_internal.h"

#include <stdlib.h>

struct disk *disk_create(u64 nr_pages)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	CHECK(disk);
	spin_init(&disk->lock, RANK_LEAF);
	list_init(&disk->waiting);
	disk->nr_pages = nr_pages;
	disk->data = calloc(nr_pages, PAGE_SIZE);
	CHECK(disk->data);
	return disk;
}

/*
 * Copies word by word, since a page may be written to while a disk reads it, as on any machine; it is then written
 * again.
 */
static void copy_words(void *to, const void *from)
{
	u64 *dst = to;
	const u64 *src = from;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		WRITE_ONCE(dst[i], READ_ONCE(src[i]));
}

static int transfer(struct disk *disk, u64 page_nr, struct page *page, bool write)
{
	u32 rate = READ_ONCE(disk->error_rate[write]);
	u8 *place = disk->data + page_nr * PAGE_SIZE;

	CHECK(page_nr > 0 && page_nr < disk->nr_pages);
	if (rate && sim_random_below(rate) == 0)
		return -EIO;
	if (write)
		copy_words(place, page_to_virt(page));
	else
		copy_words(page_to_virt(page), place);
	return 0;
}

static bool disk_is_synchronous(void *device)
{
	return !READ_ONCE(((struct disk *)device)->async);
}

static int disk_read_now(void *device, u64 page_nr, struct page *page)
{
	struct disk *disk = device;

	if (READ_ONCE(disk->async))
		return -EAGAIN;
	atomic_inc(&disk->nr_transfers[0]);
	return transfer(disk, page_nr, page, false);
}

static void disk_start_request(struct swap_request *request)
{
	struct disk *disk = request->device;
	unsigned long flags;

	atomic_inc(&disk->nr_transfers[request->write]);
	if (!READ_ONCE(disk->async)) {
		request->done(request, transfer(disk, request->page_nr, request->page, request->write));
		return;
	}
	flags = spin_lock_irqsave(&disk->lock);
	list_add_tail(&disk->waiting, &request->free);
	WRITE_ONCE(disk->nr_waiting, disk->nr_waiting + 1);
	spin_unlock_irqrestore(&disk->lock, flags);
}

static const struct swap_device_ops disk_ops = {
	.is_synchronous = disk_is_synchronous,
	.read_now = disk_read_now,
	.start = disk_start_request,
};

bool disk_complete_one(struct disk *disk)
{
	unsigned long flags = spin_lock_irqsave(&disk->lock);
	struct swap_request *request = NULL;

	if (!list_empty(&disk->waiting)) {
		request = list_first(&disk->waiting, struct swap_request, free);
		list_del(&request->free);
		WRITE_ONCE(disk->nr_waiting, disk->nr_waiting - 1);
	}
	spin_unlock_irqrestore(&disk->lock, flags);
	if (!request)
		return false;
	flags = irq_save();
	request->done(request, transfer(disk, request->page_nr, request->page, request->write));
	irq_restore(flags);
	return true;
}

void disk_complete_all(struct disk *disk)
{
	while (disk_complete_one(disk))
		;
}

void disk_swapon(struct disk *disk, int priority)
{
	CHECK(swap_area_add(&disk_ops, disk, disk->nr_pages, NULL, 0, priority) >= 0);
}

int disk_try_swapon(struct disk *disk, const u32 *bad, u32 nr_bad)
{
	return swap_area_add(&disk_ops, disk, disk->nr_pages, bad, nr_bad, SWAP_PRIORITY_NEXT);
}

void disk_swapoff(struct disk *disk)
{
	int area = swap_area_on(disk);

	CHECK(area >= 0);
	CHECK_EQ(swap_area_remove((unsigned)area), 0);
}

static bool playing[MAX_CPUS];

static void play(void *disk)
{
	while (load_acquire(&playing[cpu_id()]))
		if (!disk_complete_one(disk))
			let_others_run_once();
	disk_complete_all(disk);
}

void disk_start(unsigned cpu, struct disk *disk)
{
	store_release(&playing[cpu], true);
	sim_start(cpu, play, disk);
}

void disk_stop(unsigned cpu)
{
	store_release(&playing[cpu], false);
	sim_join(cpu);
}
