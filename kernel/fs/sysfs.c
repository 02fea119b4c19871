/* SPDX-License-Identifier: MIT */
/*
 * The file system of /sys: the block devices and their settings. The files are defined like those of /proc (procfs.h);
 * `id` is the device's index. Takes no lock: each setting is one word.
 *
 * /sys/block/ramN/	Linux's: dev, size (sectors), ro, removable, stat, device/delete
 *			ours: mode (sync, async), latency_us, errors (failed reads and writes), read_error and
 *			write_error (one request in N fails; 0: none, 1: all), seed (of the errors; a write restarts the
 *			generator)
 */
#include "drivers/block.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"

#define SYSFS_MAGIC 0x62656572

static int show_size(struct text *text, u64 id)
{
	text_printf(text, "%lu\n", block_nth((unsigned)id)->nr_sectors);
	return 0;
}

static int show_dev(struct text *text, u64 id)
{
	u32 rdev = block_nth((unsigned)id)->rdev;

	text_printf(text, "%u:%u\n", rdev >> 8, rdev & 0xff);
	return 0;
}

static int show_zero(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "0\n");
	return 0;
}

/*
 * Linux's columns: requests, merged, sectors, ms for reads and for writes; in flight, two sums of ms. Time is not
 * measured.
 */
static int sysfs_show_stat(struct text *text, u64 id)
{
	const struct block_device *device = block_nth((unsigned)id);
	u64 reads = READ_ONCE(device->nr_requests[BLOCK_READ]), writes = READ_ONCE(device->nr_requests[BLOCK_WRITE]);

	text_printf(text, "%8lu %8d %8lu %8d %8lu %8d %8lu %8d %8lu %8d %8d\n", reads, 0, reads * SECTORS_PER_PAGE, 0,
		    writes, 0, writes * SECTORS_PER_PAGE, 0, READ_ONCE(device->in_flight), 0, 0);
	return 0;
}

static int show_errors(struct text *text, u64 id)
{
	const struct block_device *device = block_nth((unsigned)id);

	text_printf(text, "%lu %lu\n", READ_ONCE(device->nr_errors[BLOCK_READ]),
		    READ_ONCE(device->nr_errors[BLOCK_WRITE]));
	return 0;
}

static int show_mode(struct text *text, u64 id)
{
	text_printf(text, "%s\n", READ_ONCE(block_nth((unsigned)id)->async) ? "async" : "sync");
	return 0;
}

static int write_mode(u64 id, char *buf, size_t len)
{
	struct block_device *device = block_nth((unsigned)id);

	proc_trim(buf, len);
	if (strcmp(buf, "sync") && strcmp(buf, "async"))
		return -EINVAL;
	WRITE_ONCE(device->async, *buf == 'a');
	return 0;
}

static int show_latency(struct text *text, u64 id)
{
	text_printf(text, "%lu\n", READ_ONCE(block_nth((unsigned)id)->latency_us));
	return 0;
}

static int write_latency(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)len;
	if (proc_parse_number(buf, &value) || value > MAX_BLOCK_LATENCY_US)
		return -EINVAL;
	WRITE_ONCE(block_nth((unsigned)id)->latency_us, value);
	return 0;
}

#define ERROR_RATE(which, direction)                                                                                   \
	static int show_##which(struct text *text, u64 id)                                                             \
	{                                                                                                              \
		text_printf(text, "%lu\n", READ_ONCE(block_nth((unsigned)id)->error_rate[direction]));                 \
		return 0;                                                                                              \
	}                                                                                                              \
	static int write_##which(u64 id, char *buf, size_t len)                                                        \
	{                                                                                                              \
		u64 value;                                                                                             \
                                                                                                                       \
		(void)len;                                                                                             \
		if (proc_parse_number(buf, &value))                                                                    \
			return -EINVAL;                                                                                \
		WRITE_ONCE(block_nth((unsigned)id)->error_rate[direction], value);                                     \
		return 0;                                                                                              \
	}

ERROR_RATE(read_error, BLOCK_READ)
ERROR_RATE(write_error, BLOCK_WRITE)

static int write_seed(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)len;
	if (proc_parse_number(buf, &value))
		return -EINVAL;
	block_seed(block_nth((unsigned)id), value);
	return 0;
}

/* Pulls the device: requests in flight fail, and all later ones. */
static int write_delete(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)len;
	if (proc_parse_number(buf, &value) || !value)
		return -EINVAL;
	WRITE_ONCE(block_nth((unsigned)id)->removed, true);
	return 0;
}

static const struct proc_entry disk_entries[] = {
	{ .name = "dev", .mode = S_IFREG | 0444, .show = show_dev },
	{ .name = "size", .mode = S_IFREG | 0444, .show = show_size },
	{ .name = "ro", .mode = S_IFREG | 0444, .show = show_zero },
	{ .name = "removable", .mode = S_IFREG | 0444, .show = show_zero },
	{ .name = "stat", .mode = S_IFREG | 0444, .show = sysfs_show_stat },
	{ .name = "errors", .mode = S_IFREG | 0444, .show = show_errors },
	{ .name = "mode", .mode = S_IFREG | 0644, .show = show_mode, .write = write_mode },
	{ .name = "latency_us", .mode = S_IFREG | 0644, .show = show_latency, .write = write_latency },
	{ .name = "read_error", .mode = S_IFREG | 0644, .show = show_read_error, .write = write_read_error },
	{ .name = "write_error", .mode = S_IFREG | 0644, .show = show_write_error, .write = write_write_error },
	{ .name = "seed", .mode = S_IFREG | 0200, .write = write_seed },
};

static const struct proc_entry device_entries[] = {
	{ .name = "delete", .mode = S_IFREG | 0200, .write = write_delete },
};

static void fill_sys(struct dentry *root)
{
	struct dentry *block = proc_add_dir(root, "block");
	struct block_device *device;

	for (unsigned n = 0; (device = block_nth(n)) != NULL; n++) {
		struct dentry *dir = proc_add_dir(block, device->name);

		proc_add_files(dir, disk_entries, ARRAY_SIZE(disk_entries), n);
		proc_add_files(proc_add_dir(dir, "device"), device_entries, ARRAY_SIZE(device_entries), n);
	}
}

static int sysfs_mount(struct super_block *sb, char *options)
{
	(void)options;
	return proc_mount_root(sb, fill_sys);
}

const struct fs_type sysfs_type = { .name = "sysfs", .magic = SYSFS_MAGIC, .computed = true, .mount = sysfs_mount };
