/* SPDX-License-Identifier: MIT */
/*
 * swapon(2) and swapoff(2): block devices, and files on them, as swap areas. The format is that of mkswap(8): the first
 * page contains the size of the area and the list of its bad pages.
 *
 * A device in use as swap is claimed, so that it cannot be mounted. For a file, the locations of its pages are looked
 * up once; from then on they are read and written there, bypassing the file system, so the file must not be written,
 * truncated or removed.
 *
 * Locks: swap_mutex, one call at a time; held while swapoff reads everything back. inode->lock: while a file is
 * claimed.
 *
 * Mirrors: Linux, mm/swapfile.c: swapon(), claim_swapfile(), read_swap_header(), swapoff(); mm/page_io.c:
 * generic_swapfile_activate().
 */
#include "kernel/swap.h"
#include "drivers/block.h"
#include "kernel/boot_words.h"
#include "kernel/fs/files.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/super.h"
#include "kernel/fs/text.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/sync/mutex.h"
#include "kernel/syscall.h"
#include "mm/cache/mapping.h"
#include "mm/check/check.h"
#include "mm/page/slab.h"
#include "mm/swap/swap.h"

#define SWAP_FLAG_PREFER 0x8000
#define SWAP_FLAG_PRIO_MASK 0x7fff
#define SWAP_FLAGS_VALID 0x7ffff /* includes the discard flags, which have no effect on a ramdisk */
#define MAX_BAD_PAGES 637

static struct mutex swap_mutex = MUTEX_INIT(swap_mutex, FILES);
static const char signature[] = "SWAPSPACE2";
#define SIGNATURE_SIZE (sizeof(signature) - 1) /* bytes on the device: without the final NUL */

/* The first page of an area, as mkswap(8) writes it. */
struct swap_header {
	u8 boot_bits[1024];
	u32 version, last_page, nr_bad;
	u8 uuid[16], volume[16];
	u32 padding[117];
	u32 bad[MAX_BAD_PAGES];
}; /* the signature follows at the end of the page */
_Static_assert(sizeof(struct swap_header) + SIGNATURE_SIZE <= PAGE_SIZE, "the header is one page");

/* ---- The device or file of an area ------------------------------------------------------------------------------- */

/* Targets are never freed: a reader of one that is no longer used sees its last contents. */
static struct swap_target {
	bool used; /* swap_mutex, as are the next ones; they are constant while it is used */
	struct block_device *device;
	u32 *blocks; /* of a file: where each page lies on the device, in pages; NULL: identical */
	u64 nr_pages;
	struct dentry *node; /* node_lock: the file, with a reference; NULL: the whole device */
} targets[MAX_SWAP_AREAS];

static spinlock_t node_lock = SPINLOCK_INIT(LEAF); /* for readers of `node` that do not hold swap_mutex */

static u64 swap_sector_of(const struct swap_target *target, u64 page_nr)
{
	return (target->blocks ? target->blocks[page_nr] : page_nr) * SECTORS_PER_PAGE;
}

static void set_node(struct swap_target *target, struct dentry *node)
{
	spin_lock(&node_lock);
	target->node = node;
	spin_unlock(&node_lock);
}

/* Returns the file, with a reference, or NULL. */
static struct dentry *get_node(const struct swap_target *target)
{
	struct dentry *node;

	spin_lock(&node_lock);
	node = target->node;
	if (node)
		dentry_get(node);
	spin_unlock(&node_lock);
	return node;
}

bool swap_name(const void *target, struct text *text, char *path)
{
	struct dentry *node = get_node(target);

	if (!node) {
		text_printf(text, "/dev/%s", ((const struct swap_target *)target)->device->name);
		return false;
	}
	path = dentry_path(node, path, PATH_MAX);
	text_printf(text, "%s", path ? path : "");
	dentry_put(node);
	return true;
}

_Static_assert(sizeof(struct block_request) <= sizeof(((struct swap_request *)0)->driver),
	       "block_request fits into a swap request");

static bool is_synchronous(void *device)
{
	return !READ_ONCE(((struct swap_target *)device)->device->async);
}

static int read_now(void *device, u64 page_nr, struct page *page)
{
	const struct swap_target *target = device;

	return block_read_now(target->device, swap_sector_of(target, page_nr), page);
}

static void request_done(struct block_request *block)
{
	struct swap_request *request = container_of((u64(*)[ARRAY_SIZE(((struct swap_request *)0)->driver)])block,
						    struct swap_request, driver);

	request->done(request, block->error);
}

static void swap_start(struct swap_request *request)
{
	struct block_request *block = (struct block_request *)request->driver;
	const struct swap_target *target = request->device;

	*block = (struct block_request){
		.device = target->device,
		.sector = swap_sector_of(target, request->page_nr),
		.page = request->page,
		.direction = request->write ? BLOCK_WRITE : BLOCK_READ,
		.done = request_done,
	};
	block_submit(block);
}

static const struct swap_device_ops ops = { .is_synchronous = is_synchronous,
					    .read_now = read_now,
					    .start = swap_start };

/* ---- Claiming ---------------------------------------------------------------------------------------------------- */

static u64 device_pages(const struct block_device *device)
{
	return device->nr_sectors / SECTORS_PER_PAGE;
}

static int swap_claim_device(struct swap_target *target, struct block_device *device)
{
	if (!device || READ_ONCE(device->removed))
		return -ENXIO;
	if (!block_claim(device, &swap_mutex))
		return -EBUSY;
	target->device = device;
	target->blocks = NULL;
	target->nr_pages = device_pages(device);
	return 0;
}

/*
 * Looks up the location of each page of the file, which may have no holes; writes dirty pages back first.
 * => inode->lock held.
 */
static int find_blocks(struct swap_target *target, struct inode *inode)
{
	u64 nr_pages = inode_size(inode) >> PAGE_SHIFT;
	int error = mapping_writeback(inode->mapping, 0, ~0UL, WRITEBACK_WAIT);
	u32 *blocks = error ? NULL : kmalloc(nr_pages * sizeof(*blocks), ALLOC_WAIT);

	assert_rwsem_held(&inode->lock);
	if (!blocks)
		return error ? error : -ENOMEM;
	for (u64 index = 0; index < nr_pages; index++) {
		s64 block = inode->ops->block_of(inode, index);

		if (block <= 0) {
			kfree(blocks);
			return block ? (int)block : -EINVAL; /* a hole */
		}
		blocks[index] = (u32)block;
		cond_resched();
	}
	target->blocks = blocks;
	target->nr_pages = nr_pages;
	return 0;
}

/* => inode->lock held. */
static int claim_inode(struct swap_target *target, struct inode *inode)
{
	int error;

	assert_rwsem_held(&inode->lock);
	if (inode->is_swap)
		return -EBUSY;
	if (!inode->ops || !inode->ops->block_of || inode_size(inode) < PAGE_SIZE)
		return -EINVAL;
	error = find_blocks(target, inode);
	if (!error)
		WRITE_ONCE(inode->is_swap, true);
	return error;
}

static int claim_file(struct swap_target *target, struct dentry *node)
{
	int error;

	down_write(&node->inode->lock);
	error = claim_inode(target, node->inode);
	up_write(&node->inode->lock);
	if (error)
		return error;
	target->device = node->inode->sb->device;
	dentry_get(node);
	set_node(target, node);
	return 0;
}

static int claim(struct swap_target *target, struct dentry *node)
{
	switch (node->inode->mode & S_IFMT) {
	case S_IFBLK:
		return swap_claim_device(target, block_find(node->inode->rdev));
	case S_IFREG:
		return claim_file(target, node);
	case S_IFDIR:
		return -EISDIR;
	default:
		return -EINVAL;
	}
}

/* Returns the file to normal use. */
static void release_file(struct swap_target *target)
{
	struct dentry *node = target->node;

	down_write(&node->inode->lock);
	WRITE_ONCE(node->inode->is_swap, false);
	up_write(&node->inode->lock);
	set_node(target, NULL);
	dentry_put(node);
}

static void swap_release(struct swap_target *target)
{
	if (target->node)
		release_file(target);
	else if (!target->blocks)
		block_release(target->device);
	kfree(target->blocks);
	target->blocks = NULL;
	WRITE_ONCE(target->used, false);
}

/* ---- swapon ------------------------------------------------------------------------------------------------------ */

/*
 * Returns the first page, with a reference, or an error pointer. A file's is read from its mapping: the disk may not
 * have it yet.
 */
static struct page *swap_read_header(const struct swap_target *target)
{
	struct page *page;
	int error;

	if (target->node)
		return mapping_read_page(target->node->inode->mapping, 0);
	page = alloc_page(0);
	if (!page)
		return err_ptr(-ENOMEM);
	error = block_read_sync(target->device, 0, page);
	if (!error)
		return page;
	page_put(page);
	return err_ptr(error);
}

/* Returns the size in pages, or -EINVAL. */
static long check_header(const struct swap_header *header, const struct swap_target *target)
{
	if (memcmp((const char *)header + PAGE_SIZE - SIGNATURE_SIZE, signature, SIGNATURE_SIZE))
		return -EINVAL;
	if (header->version != 1 || !header->last_page || header->nr_bad > MAX_BAD_PAGES)
		return -EINVAL;
	return header->last_page < target->nr_pages ? (long)header->last_page + 1 : -EINVAL;
}

static int swap_on_claimed(struct swap_target *target, int priority)
{
	struct page *page = swap_read_header(target);
	const struct swap_header *header;
	long nr_pages;

	if (is_err(page))
		return (int)ptr_err(page);
	header = page_to_virt(page);
	nr_pages = check_header(header, target);
	if (nr_pages > 0)
		nr_pages = swap_area_add(&ops, target, (u64)nr_pages, header->bad, header->nr_bad, priority);
	page_put(page);
	return nr_pages < 0 ? (int)nr_pages : 0;
}

/* Context: swap_mutex, or without it as a preliminary check. */
static struct swap_target *unused_target(void)
{
	for (struct swap_target *target = targets; target < targets + MAX_SWAP_AREAS; target++)
		if (!READ_ONCE(target->used))
			return target;
	return NULL;
}

/* Activates a claimed target. `error` is the result of claiming it, and is returned unless 0. */
static int swap_on(struct swap_target *target, int error, int priority)
{
	if (error)
		return error;
	WRITE_ONCE(target->used, true);
	error = swap_on_claimed(target, priority);
	if (error)
		swap_release(target);
	return error;
}

static int swap_on_node(struct dentry *node, int priority)
{
	struct swap_target *target;
	int ret;

	mutex_lock(&swap_mutex);
	target = unused_target();
	ret = target ? swap_on(target, claim(target, node), priority) : -EPERM;
	mutex_unlock(&swap_mutex);
	return ret;
}

SYSCALL(swapon)
{
	int priority = a1 & SWAP_FLAG_PREFER ? (int)(a1 & SWAP_FLAG_PRIO_MASK) : SWAP_PRIORITY_NEXT;
	struct dentry *node;
	long ret;

	if ((u32)a1 & ~SWAP_FLAGS_VALID)
		return -EINVAL;
	if (!process_is_privileged(current->process) || !unused_target())
		return -EPERM;
	ret = user_path_lookup(AT_FDCWD, a0, LOOKUP_FOLLOW, &node);
	if (ret)
		return ret;
	ret = swap_on_node(node, priority);
	dentry_put(node);
	return ret;
}

/* ---- swapoff ----------------------------------------------------------------------------------------------------- */

static int swap_off(struct swap_target *target)
{
	int area = swap_area_on(target), ret;

	ASSERT(area >= 0, "a target in use has an area");
	ret = swap_area_remove((unsigned)area);
	if (!ret)
		swap_release(target);
	return ret;
}

static bool lies_on(const struct swap_target *target, const struct inode *inode)
{
	if (target->node)
		return target->node->inode == inode;
	return S_ISBLK(inode->mode) && target->device->rdev == inode->rdev;
}

static int swap_off_inode(const struct inode *inode)
{
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	for (struct swap_target *target = targets; target < targets + MAX_SWAP_AREAS; target++)
		if (target->used && lies_on(target, inode))
			return swap_off(target);
	return -EINVAL;
}

SYSCALL(swapoff)
{
	struct dentry *node;
	long ret;

	if (!process_is_privileged(current->process))
		return -EPERM;
	ret = user_path_lookup(AT_FDCWD, a0, LOOKUP_FOLLOW, &node);
	if (ret)
		return ret;
	mutex_lock(&swap_mutex);
	ret = swap_off_inode(node->inode);
	mutex_unlock(&swap_mutex);
	dentry_put(node);
	return ret;
}

void swap_leave_files(void)
{
	for (struct swap_target *target = targets; target < targets + MAX_SWAP_AREAS; target++)
		if (target->used && target->node)
			release_file(target);
}

bool swap_off_all(void)
{
	assert_may_sleep();
	swap_cache_trim();
	if (!check_swap())
		return false; /* swapoff would wait for ever */
	for (struct swap_target *target = targets; target < targets + MAX_SWAP_AREAS; target++)
		if (target->used && swap_off(target))
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
	memcpy((char *)header + PAGE_SIZE - SIGNATURE_SIZE, signature, SIGNATURE_SIZE);
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

static int boot_device(struct block_device *device)
{
	struct swap_target *target = unused_target();

	return target ? swap_on(target, swap_claim_device(target, device), SWAP_PRIORITY_NEXT) : -EPERM;
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
			ret = boot_device(device);
		if (ret)
			klog("The command line's swap=%s failed: error %d", text, -ret);
	}
}
