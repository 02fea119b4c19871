/* SPDX-License-Identifier: MIT */
/*
 * Mounts and unmounts a faultfs: options, the super block, the figures for statfs and /proc/mounts. No other thread
 * knows a file system that is being mounted or has been unmounted.
 *
 * Options:
 *	format			make an empty file system first
 *	mode=sync|async, latency=US	how the device works (latency implies async)
 *	error=N, read_error=N, write_error=N	one request in N fails, once it is mounted
 *	dirty=N			above N dirty pages writers must wait
 */
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/fs/mount_options.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"

#define FAULTFS_SUPER_MAGIC 0x54464c54 /* statfs: "TLFT" */
#define DIRTY_SHARE 16		       /* writers must wait when more than 1/16 of all memory is dirty */
#define BITS_PER_BLOCK ((u32)PAGE_SIZE * 8)
#define UNSET (~0UL)

/* ---- Options ----------------------------------------------------------------------------------------------------- */

struct options {
	bool format;
	u64 async, latency_us, error_rate[2], dirty_limit; /* UNSET: no change */
};

static const struct options no_options = {
	.async = UNSET, .latency_us = UNSET, .error_rate = { UNSET, UNSET }, .dirty_limit = UNSET
};

/*
 * Parses an option whose value is not a number. Returns false if there is no such option. A plain "sync" is mount(8)'s.
 */
static bool parse_word(const struct mount_option *option, struct options *options)
{
	if (!strcmp(option->name, "format") && !*option->value)
		options->format = true;
	else if (!strcmp(option->name, "mode") && !strcmp(option->value, "async"))
		options->async = true;
	else if (!strcmp(option->name, "mode") && !strcmp(option->value, "sync"))
		options->async = false;
	else
		return false;
	return true;
}

static int faultfs_parse_number(const struct mount_option *option, struct options *options)
{
	u64 value;

	if (mount_option_number(option->value, &value))
		return -EINVAL;
	if (!strcmp(option->name, "latency") && value <= MAX_BLOCK_LATENCY_US) {
		options->latency_us = value;
		options->async = true;
	} else if (!strcmp(option->name, "error")) {
		options->error_rate[BLOCK_READ] = options->error_rate[BLOCK_WRITE] = value;
	} else if (!strcmp(option->name, "read_error")) {
		options->error_rate[BLOCK_READ] = value;
	} else if (!strcmp(option->name, "write_error")) {
		options->error_rate[BLOCK_WRITE] = value;
	} else if (!strcmp(option->name, "dirty") && value) {
		options->dirty_limit = value;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int faultfs_parse_options(char *text, struct options *options)
{
	struct mount_option option;

	*options = no_options;
	while (mount_option_next(&text, &option))
		if (!parse_word(&option, options) && faultfs_parse_number(&option, options))
			return -EINVAL;
	return 0;
}

static void set_timing(struct block_device *device, const struct options *options)
{
	if (options->latency_us != UNSET)
		WRITE_ONCE(device->latency_us, options->latency_us);
	if (options->async != UNSET)
		WRITE_ONCE(device->async, options->async);
}

static void set_errors(struct block_device *device, const struct options *options)
{
	for (unsigned direction = BLOCK_READ; direction <= BLOCK_WRITE; direction++)
		if (options->error_rate[direction] != UNSET)
			WRITE_ONCE(device->error_rate[direction], options->error_rate[direction]);
}

/* ---- The super block --------------------------------------------------------------------------------------------- */

/* Returns the number of blocks for `nr` things, rounded up; 64 bits, so that no sum of a crafted disk overflows. */
static u64 blocks_for(u64 nr, u32 per_block)
{
	return (nr + per_block - 1) / per_block;
}

static bool makes_sense(const struct faultfs_super *super, const struct block_device *device)
{
	return super->magic == FAULTFS_MAGIC && super->version == FAULTFS_VERSION &&
	       super->nr_blocks <= device->nr_sectors / SECTORS_PER_PAGE && super->data_start < super->nr_blocks &&
	       super->bitmap_start == 1 && super->nr_inodes && super->nr_inodes <= 1u << 20 &&
	       super->inode_start >= 1 + blocks_for(super->nr_blocks, BITS_PER_BLOCK) &&
	       super->data_start >= super->inode_start + blocks_for(super->nr_inodes, FAULTFS_INODES_PER_BLOCK);
}

/* => fs->lock held. */
static int read_super(struct faultfs *fs)
{
	struct page *page;

	assert_mutex_held(&fs->lock);
	fs->layout.nr_blocks = 1;
	page = faultfs_get(fs, 0);
	if (is_err(page))
		return (int)ptr_err(page);
	memcpy(&fs->layout, page_to_virt(page), sizeof(fs->layout));
	page_put(page);
	if (!makes_sense(&fs->layout, fs->device))
		return -EINVAL;
	if (fs->layout.state != FAULTFS_CLEAN)
		klog("%s: not cleanly unmounted; recent writes may be lost", fs->device->name);
	fs->next_block = fs->layout.data_start;
	fs->nr_free_inodes = fs->layout.nr_inodes;
	return 0;
}

/* => fs->lock held. */
static int write_state(struct faultfs *fs, enum faultfs_state state)
{
	struct page *page = faultfs_get(fs, 0);

	assert_mutex_held(&fs->lock);
	if (is_err(page))
		return (int)ptr_err(page);
	fs->layout.state = state;
	memcpy(page_to_virt(page), &fs->layout, sizeof(fs->layout));
	faultfs_changed(page);
	page_put(page);
	return 0;
}

/* => fs->lock held. */
static int faultfs_count_free(struct faultfs *fs)
{
	const struct faultfs_super *layout = &fs->layout;

	assert_mutex_held(&fs->lock);
	for (u32 base = 0; base < layout->nr_blocks; base += BITS_PER_BLOCK) {
		struct page *page = faultfs_get(fs, layout->bitmap_start + base / BITS_PER_BLOCK);
		u64 *words;

		if (is_err(page))
			return (int)ptr_err(page);
		words = page_to_virt(page);
		for (u32 bit = 0; bit < BITS_PER_BLOCK && base + bit < layout->nr_blocks; bit++)
			fs->nr_free_blocks += !(words[bit / 64] >> bit % 64 & 1);
		page_put(page);
	}
	return 0;
}

/* ---- Mounting ---------------------------------------------------------------------------------------------------- */

/* Returns the root's inode, or an error pointer. => fs->lock held. */
static struct inode *load_root(struct faultfs *fs)
{
	struct page *page;
	struct faultfs_inode *record = faultfs_record(fs, FAULTFS_ROOT_INO, &page);
	struct inode *inode;

	assert_mutex_held(&fs->lock);
	if (is_err(record))
		return err_ptr(ptr_err(record));
	inode = S_ISDIR(record->mode) && faultfs_record_makes_sense(record)
			? faultfs_new_inode(fs, FAULTFS_ROOT_INO, record->mode, 0)
			: err_ptr(-EINVAL);
	if (!is_err(inode))
		(void)faultfs_load_inode(inode, record); /* cannot fail: it is not a symbolic link */
	page_put(page);
	return inode;
}

/* => fs->lock held. */
static int read_layout(struct faultfs *fs)
{
	struct inode *root;
	int ret = read_super(fs);

	assert_mutex_held(&fs->lock);
	if (!ret)
		ret = faultfs_count_free(fs);
	if (ret)
		return ret;
	fs->files = kmalloc((fs->layout.nr_inodes + 1) * sizeof(*fs->files), ALLOC_ZERO);
	fs->unwritten = kmalloc((fs->layout.nr_blocks / 64 + 1) * sizeof(*fs->unwritten), ALLOC_ZERO);
	if (!fs->files || !fs->unwritten)
		return -ENOMEM;
	root = load_root(fs);
	if (is_err(root))
		return (int)ptr_err(root);
	fs->sb->root = dentry_alloc(NULL, "", 0, root);
	return fs->sb->root ? 0 : -ENOMEM;
}

static struct faultfs *faultfs_alloc_super(struct super_block *sb)
{
	struct faultfs *fs = kmalloc(sizeof(*fs), ALLOC_ZERO);

	if (!fs)
		return NULL;
	fs->sb = sb;
	fs->device = sb->device;
	mutex_init(&fs->lock, RANK_FS_BLOCKS);
	spin_init(&fs->io_lock, RANK_LEAF);
	list_init(&fs->reads);
	list_init(&fs->spare);
	list_init(&fs->dead);
	list_init(&fs->unburied);
	wait_queue_init(&fs->pass_end);
	fs->metadata = mapping_create(0, false);
	if (!fs->metadata) {
		kfree(fs);
		return NULL;
	}
	fs->metadata->metadata = true;
	return fs;
}

/* Marks the disk as mounted, before anything else is written to it. Returns: 0 or -errno. */
static int mark_mounted(struct faultfs *fs)
{
	int ret;

	WRITE_ONCE(fs->marked, true);
	mutex_lock(&fs->lock);
	ret = write_state(fs, FAULTFS_MOUNTED);
	mutex_unlock(&fs->lock);
	return ret ? ret : faultfs_write_metadata(fs);
}

static int faultfs_load(struct super_block *sb)
{
	struct faultfs *fs = faultfs_alloc_super(sb);
	int ret;

	if (!fs)
		return -ENOMEM;
	sb->private = fs;
	fs->dirty_limit = nr_managed_pages() / DIRTY_SHARE;
	mutex_lock(&fs->lock);
	ret = read_layout(fs);
	mutex_unlock(&fs->lock);
	if (!ret)
		ret = faultfs_load_tree(fs, sb->root);
	if (!ret && !super_is_readonly(sb))
		ret = mark_mounted(fs);
	return ret ? ret : faultfs_start_threads(fs);
}

static int faultfs_mount(struct super_block *sb, char *text)
{
	struct options options;
	int ret = faultfs_parse_options(text, &options);

	if (ret)
		return ret;
	if (options.format && super_is_readonly(sb))
		return -EROFS;
	set_timing(sb->device, &options);
	if (options.format)
		ret = faultfs_format(sb->device);
	if (!ret)
		ret = faultfs_load(sb);
	if (ret)
		return ret;
	if (options.dirty_limit != UNSET)
		faultfs_of(sb)->dirty_limit = options.dirty_limit;
	set_errors(sb->device, &options);
	return 0;
}

static int faultfs_remount(struct super_block *sb, char *text, bool readonly)
{
	struct faultfs *fs = faultfs_of(sb);
	struct options options;

	if (faultfs_parse_options(text, &options) || options.format)
		return -EINVAL;
	set_timing(sb->device, &options);
	set_errors(sb->device, &options);
	if (options.dirty_limit != UNSET)
		WRITE_ONCE(fs->dirty_limit, options.dirty_limit);
	return readonly || fs->marked ? 0 : mark_mounted(fs);
}

static void faultfs_show_options(const struct super_block *sb, struct text *text)
{
	const struct block_device *device = sb->device;

	text_printf(text, device->async ? ",mode=async,latency=%lu" : ",mode=sync", device->latency_us);
	if (device->error_rate[BLOCK_READ])
		text_printf(text, ",read_error=%lu", device->error_rate[BLOCK_READ]);
	if (device->error_rate[BLOCK_WRITE])
		text_printf(text, ",write_error=%lu", device->error_rate[BLOCK_WRITE]);
}

static void faultfs_usage(const struct super_block *sb, struct super_usage *usage)
{
	const struct faultfs *fs = faultfs_of(sb);

	usage->blocks = fs->layout.nr_blocks - fs->layout.data_start;
	usage->free_blocks = READ_ONCE(fs->nr_free_blocks);
	usage->files = fs->layout.nr_inodes;
	usage->free_files = READ_ONCE(fs->nr_free_inodes);
}

/* ---- Unmounting -------------------------------------------------------------------------------------------------- */

/* Marks the file system as clean on the disk, unless something could not be written. */
static void mark_clean(struct faultfs *fs)
{
	int ret = faultfs_write_metadata(fs);

	if (!ret) {
		mutex_lock(&fs->lock);
		ret = write_state(fs, FAULTFS_CLEAN);
		mutex_unlock(&fs->lock);
	}
	if (!ret)
		ret = faultfs_write_metadata(fs);
	if (ret)
		klog("%s: some data could not be written at unmount", fs->device->name);
}

/* Called also after a mount that failed half-way. */
static void faultfs_unmount(struct super_block *sb)
{
	struct faultfs *fs = faultfs_of(sb);

	if (!fs)
		return;
	bool mounted = fs->flusher;
	faultfs_stop_threads(fs);
	if (mounted && fs->marked)
		mark_clean(fs);
	mapping_remove_range(fs->metadata, 0, ~0UL);
	mapping_put(fs->metadata);
	kfree(fs->files);
	kfree(fs->unwritten);
	kfree(fs);
}

const struct fs_type faultfs_type = {
	.name = "faultfs",
	.magic = FAULTFS_SUPER_MAGIC,
	.needs_device = true,
	.mount = faultfs_mount,
	.remount = faultfs_remount,
	.show_options = faultfs_show_options,
	.usage = faultfs_usage,
	.sync = faultfs_sync,
	.drop_pages = faultfs_drop_pages,
	.unmount = faultfs_unmount,
	.create = faultfs_create,
	.add_name = faultfs_add_name,
	.remove_name = faultfs_remove_name,
	.rename = faultfs_rename,
};
