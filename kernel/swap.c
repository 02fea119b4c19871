/* SPDX-License-Identifier: MIT */
/*
 * swapon(2) and swapoff(2): which block devices are swap areas. The format is that of mkswap(8): the first page says how
 * large the area is and which of its pages are bad.
 *
 * Locks: swap_mutex, one call at a time; held while swapoff brings everything back. A device that is swapped to is claimed,
 * so that nobody mounts it.
 *
 * Mirrors: Linux, mm/swapfile.c: swapon(), read_swap_header(), swapoff().
 */
#include "kernel/swap.h"
#include "drivers/block.h"
#include "kernel/boot_info.h"
#include "kernel/errno.h"
#include "kernel/fs/files.h"
#include "kernel/fs/namei.h"
#include "kernel/mutex.h"
#include "kernel/string.h"
#include "kernel/syscall.h"
#include "kernel/task.h"
#include "mm/check.h"
#include "mm/swap.h"

#define SWAP_FLAG_PREFER 0x8000
#define SWAP_FLAG_PRIO_MASK 0x7fff
#define SWAP_FLAGS_VALID 0x7ffff /* the discard flags, which mean nothing to a ramdisk, included */
#define MAX_BAD_PAGES 637

static struct mutex swap_mutex = MUTEX_INIT(swap_mutex, FILES);
static const char signature[10] = "SWAPSPACE2"; /* without its end */

/* The first page of an area, as mkswap(8) writes it. */
struct swap_header {
	u8 boot_bits[1024];
	u32 version, last_page, nr_bad;
	u8 uuid[16], volume[16];
	u32 padding[117];
	u32 bad[MAX_BAD_PAGES];
}; /* and the signature at the end of the page */
_Static_assert(sizeof(struct swap_header) + sizeof(signature) <= PAGE_SIZE, "the header is one page");

/* ---- The device as an area --------------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct block_request) <= sizeof(((struct swap_request *)0)->driver), "a request has room for ours");

static bool is_synchronous(void *device)
{
	return !READ_ONCE(((struct block_device *)device)->async);
}

static int read_now(void *device, u64 page_nr, struct page *page)
{
	return block_read_now(device, page_nr * SECTORS_PER_PAGE, page);
}

static void request_done(struct block_request *block)
{
	struct swap_request *request = container_of((u64(*)[ARRAY_SIZE(((struct swap_request *)0)->driver)])block,
						    struct swap_request, driver);

	request->done(request, block->error);
}

static void start(struct swap_request *request)
{
	struct block_request *block = (struct block_request *)request->driver;

	*block = (struct block_request){
		.device = request->device,
		.sector = request->page_nr * SECTORS_PER_PAGE,
		.page = request->page,
		.direction = request->write ? BLOCK_WRITE : BLOCK_READ,
		.done = request_done,
	};
	block_submit(block);
}

static const struct swap_device_ops ops = { .is_synchronous = is_synchronous, .read_now = read_now, .start = start };

/* ---- On ---------------------------------------------------------------------------------------------------------- */

static u64 device_pages(const struct block_device *device)
{
	return device->nr_sectors / SECTORS_PER_PAGE;
}

/* Its size in pages, or -EINVAL. */
static long check_header(const struct swap_header *header, const struct block_device *device)
{
	if (memcmp((const char *)header + PAGE_SIZE - sizeof(signature), signature, sizeof(signature)))
		return -EINVAL;
	if (header->version != 1 || !header->last_page || header->nr_bad > MAX_BAD_PAGES)
		return -EINVAL;
	return header->last_page < device_pages(device) ? (long)header->last_page + 1 : -EINVAL;
}

static int swap_on_claimed(struct block_device *device, int priority)
{
	struct page *page = alloc_page(0);
	const struct swap_header *header;
	long nr_pages;

	if (!page)
		return -ENOMEM;
	header = page_to_virt(page);
	nr_pages = block_read_sync(device, 0, page);
	if (!nr_pages)
		nr_pages = check_header(header, device);
	if (nr_pages > 0)
		nr_pages = swap_area_add(&ops, device, (u64)nr_pages, header->bad, header->nr_bad, priority);
	page_put(page);
	return nr_pages < 0 ? (int)nr_pages : 0;
}

static int swap_on(struct block_device *device, int priority)
{
	int ret;

	if (!device || READ_ONCE(device->removed))
		return -ENXIO;
	if (!block_claim(device, &swap_mutex))
		return -EBUSY;
	ret = swap_on_claimed(device, priority);
	if (ret)
		block_release(device);
	return ret;
}

/* The device that a path of user mode names: its inode's number. -EINVAL for what is none. */
static long device_of(u64 path, u32 *rdev)
{
	struct dentry *node;
	long ret = user_path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &node);

	if (ret)
		return ret;
	*rdev = node->inode->rdev;
	ret = S_ISBLK(node->inode->mode) ? 0 : -EINVAL;
	dentry_put(node);
	return ret;
}

SYSCALL(swapon)
{
	int priority = a1 & SWAP_FLAG_PREFER ? (int)(a1 & SWAP_FLAG_PRIO_MASK) : SWAP_PRIORITY_NEXT;
	u32 rdev;
	long ret;

	if ((u32)a1 & ~SWAP_FLAGS_VALID)
		return -EINVAL;
	ret = process_is_privileged(current->process) ? device_of(a0, &rdev) : -EPERM;
	if (ret)
		return ret;
	mutex_lock(&swap_mutex);
	ret = swap_on(block_find(rdev), priority);
	mutex_unlock(&swap_mutex);
	return ret;
}

/* ---- Off --------------------------------------------------------------------------------------------------------- */

static int swap_off(struct block_device *device)
{
	int area = device ? swap_area_on(device) : -1;
	int ret = area < 0 ? -EINVAL : swap_area_remove((unsigned)area);

	if (!ret)
		block_release(device);
	return ret;
}

SYSCALL(swapoff)
{
	u32 rdev;
	long ret = process_is_privileged(current->process) ? device_of(a0, &rdev) : -EPERM;

	if (ret)
		return ret;
	mutex_lock(&swap_mutex);
	ret = swap_off(block_find(rdev));
	mutex_unlock(&swap_mutex);
	return ret;
}

bool swap_off_all(void)
{
	struct block_device *device;

	swap_cache_trim();
	if (!check_swap())
		return false; /* it would wait for ever */

	for (unsigned n = 0; (device = block_nth(n)) != NULL; n++)
		if (swap_area_on(device) >= 0 && swap_off(device))
			return false;
	return true;
}

/* ---- Boot -------------------------------------------------------------------------------------------------------- */

static int format(struct block_device *device)
{
	struct page *page = alloc_page(ALLOC_ZERO);
	struct swap_header *header;
	int ret;

	if (!page)
		return -ENOMEM;
	header = page_to_virt(page);
	header->version = 1;
	header->last_page = (u32)device_pages(device) - 1;
	memcpy((char *)header + PAGE_SIZE - sizeof(signature), signature, sizeof(signature));
	ret = block_transfer(device, BLOCK_WRITE, 0, page);
	page_put(page);
	return ret;
}

static struct block_device *device_named(const char *name, size_t len)
{
	struct block_device *device;

	for (unsigned n = 0; (device = block_nth(n)) != NULL; n++)
		if (strlen(device->name) == len && !strncmp(device->name, name, len))
			return device;
	return NULL;
}

static size_t length_of_word(const char *text)
{
	size_t len = 0;

	while (text[len] && text[len] != ',')
		len++;
	return len;
}

void swap_on_at_boot(void)
{
	char text[128];
	const char *name = text;

	if (!boot_option("swap", text, sizeof(text)))
		return;
	for (size_t len; *name; name += len + (name[len] == ',')) {
		struct block_device *device;
		int ret;

		len = length_of_word(name);
		device = device_named(name, len);
		ret = device ? format(device) : -ENXIO;
		if (!ret)
			ret = swap_on(device, SWAP_PRIORITY_NEXT);
		if (ret)
			klog("The command line's swap=%s cannot be done: error %d", text, -ret);
	}
}
