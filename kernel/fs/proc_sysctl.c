/* SPDX-License-Identifier: MIT */
/* /proc/sys: settings. Takes no lock: each value is whole, and who reads it while it changes gets the old or the new one. */
#include "kernel/fs/procfs.h"
#include "kernel/fs/super.h"
#include "kernel/string.h"
#include "kernel/uname.h"
#include "mm/fault.h"
#include "mm/mmap.h"
#include "mm/policy.h"

#define PIPE_MAX_SIZE 1048576
#define NGROUPS_MAX 65536
#define LAST_CAPABILITY 40
#define FILE_MAX 524288

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
	if (proc_parse_number(buf, &value))
		return -EINVAL;
	WRITE_ONCE(sysctl_mmap_min_addr, value);
	return 0;
}

/* 1: page cache, 2: objects, 3: both. Names and inodes are not cached but kept, so only 1 has an effect. */
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

static const struct proc_entry vm_entries[] = {
	{ .name = "fault_policy", .mode = S_IFREG | 0644, .show = show_fault_policy, .write = write_fault_policy },
	{ .name = "spf_validate", .mode = S_IFREG | 0644, .show = show_spf_validate, .write = write_spf_validate },
	{ .name = "overcommit_memory", .mode = S_IFREG | 0644, .show = show_overcommit, .write = write_overcommit },
	{ .name = "fault_around_bytes", .mode = S_IFREG | 0644, .show = show_fault_around, .write = write_fault_around },
	{ .name = "max_map_count", .mode = S_IFREG | 0644, .show = show_max_map_count, .write = write_max_map_count },
	{ .name = "mmap_min_addr", .mode = S_IFREG | 0644, .show = show_mmap_min_addr, .write = write_mmap_min_addr },
	{ .name = "drop_caches", .mode = S_IFREG | 0200, .write = write_drop_caches },
};

/* --- kernel and fs: constants --- */

#define CONSTANT(func, fmt, value)                                                                                     \
	static int func(struct text *text, u64 id)                                                                     \
	{                                                                                                              \
		(void)id;                                                                                              \
		text_printf(text, fmt "\n", value);                                                                    \
		return 0;                                                                                              \
	}

CONSTANT(show_ostype, "%s", "Linux")
CONSTANT(show_osrelease, "%s", UTS_RELEASE)
CONSTANT(show_version, "%s", UTS_VERSION)
CONSTANT(show_pid_max, "%d", PID_MAX)
CONSTANT(show_ngroups_max, "%d", NGROUPS_MAX)
CONSTANT(show_cap_last_cap, "%d", LAST_CAPABILITY)
CONSTANT(show_file_max, "%d", FILE_MAX)
CONSTANT(show_pipe_max_size, "%d", PIPE_MAX_SIZE)

static const struct proc_entry kernel_entries[] = {
	{ .name = "ostype", .mode = S_IFREG | 0444, .show = show_ostype },
	{ .name = "osrelease", .mode = S_IFREG | 0444, .show = show_osrelease },
	{ .name = "version", .mode = S_IFREG | 0444, .show = show_version },
	{ .name = "pid_max", .mode = S_IFREG | 0444, .show = show_pid_max },
	{ .name = "threads-max", .mode = S_IFREG | 0444, .show = show_pid_max },
	{ .name = "ngroups_max", .mode = S_IFREG | 0444, .show = show_ngroups_max },
	{ .name = "cap_last_cap", .mode = S_IFREG | 0444, .show = show_cap_last_cap },
};

static const struct proc_entry fs_entries[] = {
	{ .name = "file-max", .mode = S_IFREG | 0444, .show = show_file_max },
	{ .name = "nr_open", .mode = S_IFREG | 0444, .show = show_file_max },
	{ .name = "pipe-max-size", .mode = S_IFREG | 0444, .show = show_pipe_max_size },
};

void proc_sysctl_create(struct dentry *proc)
{
	struct dentry *sys = proc_add_dir(proc, "sys");

	proc_add_files(proc_add_dir(sys, "vm"), vm_entries, ARRAY_SIZE(vm_entries), 0);
	proc_add_files(proc_add_dir(sys, "kernel"), kernel_entries, ARRAY_SIZE(kernel_entries), 0);
	proc_add_files(proc_add_dir(sys, "fs"), fs_entries, ARRAY_SIZE(fs_entries), 0);
}
