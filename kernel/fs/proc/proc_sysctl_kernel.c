/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys/kernel and /proc/sys/fs, which have the host's names, limits, and constants that tools expect to find.
 * Takes no lock except that of the names; nearly all files without write permission show constants of this kernel.
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/random.h"
#include "kernel/uname.h"

#define PIPE_MAX_SIZE 1048576
#define NGROUPS_MAX 65536
#define LAST_CAPABILITY 40
#define FILE_MAX 524288
#define OVERFLOW_ID 65534
#define ENTROPY_BITS 256
#define UUID_SIZE 16

/* --- names --- */

static int sysctl_show_name(struct text *text, size_t offset)
{
	struct utsname names;

	uname_get(&names);
	text_printf(text, "%s\n", (char *)&names + offset);
	return 0;
}

#define NAME(name)                                                                                                     \
	static int show_##name(struct text *text, u64 id)                                                              \
	{                                                                                                              \
		(void)id;                                                                                              \
		return sysctl_show_name(text, offsetof(struct utsname, name));                                         \
	}                                                                                                              \
	static int write_##name(u64 id, char *buf, size_t len)                                                         \
	{                                                                                                              \
		(void)id;                                                                                              \
		return uname_set(offsetof(struct utsname, name), buf, proc_trim(buf, len));                            \
	}
NAME(nodename)
NAME(domainname)

/* --- random --- */

/* Makes a random UUID, version 4. */
static void make_uuid(u8 *uuid)
{
	random_bytes(uuid, UUID_SIZE);
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static void show_uuid(struct text *text, const u8 *uuid)
{
	for (unsigned i = 0; i < UUID_SIZE; i++)
		text_printf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	text_printf(text, "\n");
}

static int show_random_uuid(struct text *text, u64 id)
{
	u8 uuid[UUID_SIZE];

	(void)id;
	make_uuid(uuid);
	show_uuid(text, uuid);
	return 0;
}

static u8 boot_uuid[UUID_SIZE]; /* constant after boot */

static int show_boot_id(struct text *text, u64 id)
{
	(void)id;
	show_uuid(text, boot_uuid);
	return 0;
}

/* --- constants --- */

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
CONSTANT(show_overflow_id, "%d", OVERFLOW_ID)
CONSTANT(show_entropy, "%d", ENTROPY_BITS)
CONSTANT(show_core_pattern, "%s", "core")
CONSTANT(show_printk, "%s", "7\t4\t1\t7") /* the log shows everything */
CONSTANT(show_zero, "%d", 0)
CONSTANT(show_one, "%d", 1)

#define READ_ONLY(file, func)                                                                                          \
	{                                                                                                              \
		.name = file, .mode = S_IFREG | 0444, .show = func                                                     \
	}
#define READ_WRITE(file, setting)                                                                                      \
	{                                                                                                              \
		.name = file, .mode = S_IFREG | 0644, .show = show_##setting, .write = write_##setting                 \
	}

static const struct proc_entry kernel_entries[] = {
	READ_WRITE("hostname", nodename),
	READ_WRITE("domainname", domainname),
	READ_ONLY("ostype", show_ostype),
	READ_ONLY("osrelease", show_osrelease),
	READ_ONLY("version", show_version),
	READ_ONLY("pid_max", show_pid_max),
	READ_ONLY("threads-max", show_pid_max),
	READ_ONLY("ngroups_max", show_ngroups_max),
	READ_ONLY("cap_last_cap", show_cap_last_cap),
	READ_ONLY("overflowuid", show_overflow_id),
	READ_ONLY("overflowgid", show_overflow_id),
	READ_ONLY("core_pattern", show_core_pattern),
	READ_ONLY("printk", show_printk),
	READ_ONLY("randomize_va_space", show_zero), /* no address is randomised */
	READ_ONLY("panic", show_zero),		    /* seconds until a reboot; 0: no reboot */
	READ_ONLY("tainted", show_zero),
	READ_ONLY("task_delayacct", show_one), /* delays are always counted */
	READ_ONLY("dmesg_restrict", show_zero),
	READ_ONLY("kptr_restrict", show_zero),
};

static const struct proc_entry random_entries[] = {
	READ_ONLY("boot_id", show_boot_id),
	READ_ONLY("uuid", show_random_uuid),
	READ_ONLY("entropy_avail", show_entropy),
	READ_ONLY("poolsize", show_entropy),
};

static const struct proc_entry fs_entries[] = {
	READ_ONLY("file-max", show_file_max),
	READ_ONLY("nr_open", show_file_max),
	READ_ONLY("pipe-max-size", show_pipe_max_size),
};

void proc_sysctl_kernel_create(struct dentry *sys)
{
	struct dentry *kernel = proc_add_dir(sys, "kernel");

	assert_rwsem_write_held(&fs_tree_lock);
	make_uuid(boot_uuid);
	proc_add_files(kernel, kernel_entries, ARRAY_SIZE(kernel_entries), 0);
	proc_add_files(proc_add_dir(kernel, "random"), random_entries, ARRAY_SIZE(random_entries), 0);
	proc_add_files(proc_add_dir(sys, "fs"), fs_entries, ARRAY_SIZE(fs_entries), 0);
}
