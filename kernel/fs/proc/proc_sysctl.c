/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys/vm, the settings of memory management. Takes no lock: each setting is one word, so a concurrent reader gets
 * the old or the new value.
 */
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "mm/fault/fault_around.h"
#include "mm/fault/policy.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma_change.h"

/* --- vm --- */

static int show_fault_policy(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%s\n", fault_policy_name(READ_ONCE(fault_policy_default)));
	return 0;
}

static int write_fault_policy(u64 id, char *buf, size_t len)
{
	int policy = fault_policy_parse(buf, proc_trim(buf, len));

	(void)id;
	if (policy < 0)
		return policy;
	WRITE_ONCE(fault_policy_default, (u8)policy);
	return 0;
}

static int show_spf_validate(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%s\n", spf_validate_name(READ_ONCE(spf_validate)));
	return 0;
}

static int write_spf_validate(u64 id, char *buf, size_t len)
{
	int validate = spf_validate_parse(buf, proc_trim(buf, len));

	(void)id;
	if (validate < 0)
		return validate;
	WRITE_ONCE(spf_validate, (u8)validate);
	return 0;
}

static int show_single_thread(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%u\n", READ_ONCE(spf_single_thread));
	return 0;
}

static int write_single_thread(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 1)
		return -EINVAL;
	WRITE_ONCE(spf_single_thread, (u8)value);
	return 0;
}

static int show_overcommit(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%u\n", READ_ONCE(sysctl_overcommit_memory));
	return 0;
}

static int write_overcommit(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 2)
		return -EINVAL;
	WRITE_ONCE(sysctl_overcommit_memory, (u8)value);
	return 0;
}

static int show_fault_around(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%lu\n", READ_ONCE(sysctl_fault_around_bytes));
	return 0;
}

static int write_fault_around(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	return proc_parse_number(buf, &value) ? -EINVAL : fault_around_set(value);
}

static int show_max_map_count(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%lu\n", READ_ONCE(sysctl_max_map_count));
	return 0;
}

static int write_max_map_count(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 0x7fffffff)
		return -EINVAL;
	WRITE_ONCE(sysctl_max_map_count, value);
	return 0;
}

static int show_mmap_min_addr(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%lu\n", READ_ONCE(sysctl_mmap_min_addr));
	return 0;
}

static int write_mmap_min_addr(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (!thread_may_map_low()) /* otherwise any process could lower the limit first */
		return -EPERM;
	if (proc_parse_number(buf, &value))
		return -EINVAL;
	WRITE_ONCE(sysctl_mmap_min_addr, value);
	return 0;
}

/*
 * 1: page cache, 2: objects, 3: both; 4 only silences a message on Linux. Names and inodes are kept rather than cached,
 * so only bit 0 has an effect.
 */
static int write_drop_caches(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value < 1 || value > 4)
		return -EINVAL;
	if (value & 1)
		super_drop_pages();
	return 0;
}

static int show_writeback(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%u\n", READ_ONCE(sysctl_dirty_writeback_centisecs));
	return 0;
}

static int write_writeback(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 0xffffffff)
		return -EINVAL;
	WRITE_ONCE(sysctl_dirty_writeback_centisecs, (u32)value);
	super_sync_all(); /* wakes the flushers, which then sleep for the new interval */
	return 0;
}

/* Settings that can only be written and read back: they have no effect. */
#define KEPT(name, initial, highest)                                                                                   \
	static u64 name = initial;                                                                                     \
	static int show_##name(struct text *text, u64 id)                                                              \
	{                                                                                                              \
		(void)id;                                                                                              \
		text_printf(text, "%lu\n", READ_ONCE(name));                                                           \
		return 0;                                                                                              \
	}                                                                                                              \
	static int write_##name(u64 id, char *buf, size_t len)                                                         \
	{                                                                                                              \
		u64 value;                                                                                             \
		(void)id, (void)len;                                                                                   \
		if (proc_parse_number(buf, &value) || value > (highest))                                               \
			return -EINVAL;                                                                                \
		WRITE_ONCE(name, value);                                                                               \
		return 0;                                                                                              \
	}

static int show_swappiness(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%u\n", READ_ONCE(sysctl_swappiness));
	return 0;
}

static int write_swappiness(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 200)
		return -EINVAL;
	WRITE_ONCE(sysctl_swappiness, (u8)value);
	return 0;
}

static int show_page_cluster(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%u\n", READ_ONCE(sysctl_page_cluster));
	return 0;
}

static int write_page_cluster(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 31)
		return -EINVAL;
	WRITE_ONCE(sysctl_page_cluster, (u8)value);
	return 0;
}
KEPT(vfs_cache_pressure, 100, 0x7fffffff)
KEPT(overcommit_ratio, 50, 0x7fffffff)

static int show_min_free_kbytes(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%lu\n", min_free_kbytes());
	return 0;
}

static int write_min_free_kbytes(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 0x7fffffff)
		return -EINVAL;
	min_free_kbytes_set(value);
	return 0;
}

static int show_watermark_scale_factor(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%lu\n", watermark_scale_factor());
	return 0;
}

static int write_watermark_scale_factor(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || !value || value > 3000)
		return -EINVAL;
	watermark_scale_factor_set(value);
	return 0;
}

#define KEPT_ENTRY(file, setting)                                                                                      \
	{                                                                                                              \
		.name = file, .mode = S_IFREG | 0644, .show = show_##setting, .write = write_##setting                 \
	}

static const struct proc_entry vm_entries[] = {
	KEPT_ENTRY("swappiness", swappiness),
	{ .name = "page-cluster", .mode = S_IFREG | 0644, .show = show_page_cluster, .write = write_page_cluster },
	KEPT_ENTRY("vfs_cache_pressure", vfs_cache_pressure),
	KEPT_ENTRY("overcommit_ratio", overcommit_ratio),
	KEPT_ENTRY("min_free_kbytes", min_free_kbytes),
	KEPT_ENTRY("watermark_scale_factor", watermark_scale_factor),
	{ .name = "fault_policy", .mode = S_IFREG | 0644, .show = show_fault_policy, .write = write_fault_policy },
	{ .name = "spf_validate", .mode = S_IFREG | 0644, .show = show_spf_validate, .write = write_spf_validate },
	{ .name = "spf_single_thread",
	  .mode = S_IFREG | 0644,
	  .show = show_single_thread,
	  .write = write_single_thread },
	{ .name = "overcommit_memory", .mode = S_IFREG | 0644, .show = show_overcommit, .write = write_overcommit },
	{ .name = "fault_around_bytes",
	  .mode = S_IFREG | 0644,
	  .show = show_fault_around,
	  .write = write_fault_around },
	{ .name = "max_map_count", .mode = S_IFREG | 0644, .show = show_max_map_count, .write = write_max_map_count },
	{ .name = "mmap_min_addr", .mode = S_IFREG | 0644, .show = show_mmap_min_addr, .write = write_mmap_min_addr },
	{ .name = "dirty_writeback_centisecs",
	  .mode = S_IFREG | 0644,
	  .show = show_writeback,
	  .write = write_writeback },
	{ .name = "drop_caches", .mode = S_IFREG | 0200, .write = write_drop_caches },
};

void proc_sysctl_create(struct dentry *proc)
{
	struct dentry *sys = proc_add_dir(proc, "sys");

	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc_add_dir(sys, "vm"), vm_entries, ARRAY_SIZE(vm_entries), 0);
	proc_sysctl_kernel_create(sys);
}
