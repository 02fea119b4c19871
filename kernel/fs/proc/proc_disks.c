/* SPDX-License-Identifier: MIT */
/*
 * /proc/partitions and /proc/diskstats, which list the block devices in the formats that fdisk and iostat read. Takes
 * no lock: a figure that changes during a read is shown with its old or its new value.
 */
#include "drivers/block.h"
#include "kernel/fs/proc/procfs.h"

static int show_partitions(struct text *text, u64 id)
{
	const struct block_device *device;

	(void)id;
	text_printf(text, "major minor  #blocks  name\n\n");
	for (unsigned n = 0; (device = block_nth(n)) != NULL; n++)
		text_printf(text, "%4u  %7u %10lu %s\n", device->rdev >> 8, device->rdev & 0xff, device->nr_sectors / 2,
			    device->name);
	return 0;
}

/*
 * The columns are reads, writes, discards and flushes. Requests are neither timed nor merged, and there are no
 * discards or flushes: those columns are 0.
 */
static int show_diskstats(struct text *text, u64 id)
{
	const struct block_device *device;

	(void)id;
	for (unsigned n = 0; (device = block_nth(n)) != NULL; n++) {
		u64 reads = READ_ONCE(device->nr_requests[BLOCK_READ]);
		u64 writes = READ_ONCE(device->nr_requests[BLOCK_WRITE]);

		text_printf(text, "%4u %7u %s %lu 0 %lu 0 %lu 0 %lu 0 %lu 0 0 0 0 0 0 0 0\n", device->rdev >> 8,
			    device->rdev & 0xff, device->name, reads, reads * SECTORS_PER_PAGE, writes,
			    writes * SECTORS_PER_PAGE, READ_ONCE(device->in_flight));
	}
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "diskstats", .mode = S_IFREG | 0444, .show = show_diskstats },
	{ .name = "partitions", .mode = S_IFREG | 0444, .show = show_partitions },
};

void proc_disks_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
