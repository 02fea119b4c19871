/* SPDX-License-Identifier: MIT */
/* Sets up the file tree at boot, and releases it at shut-down. */
#include "kernel/fs/fs.h"
#include "kernel/fs/console.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"

void fs_init(void)
{
	inode_init_caches();
	file_init_cache();
	rwsem_init(&fs_tree_lock, RANK_FILES);
	mount_at_boot("/", "tmpfs", 0755)->quota.max_pages = ~0UL;
	mount_at_boot("/dev", "devtmpfs", 0755);
	mount_at_boot("/dev/shm", "tmpfs", 01777);
	mount_at_boot("/proc", "proc", 0555);
	mount_at_boot("/sys", "sysfs", 0555);
	mount_at_boot("/tmp", "tmpfs", 01777);
	console_start();
}

static struct file *open_or_die(const char *path, u32 flags)
{
	struct file *file = file_open_kernel(path, flags);

	if (is_err(file))
		panic("%s cannot be opened at boot: error %ld", path, ptr_err(file));
	return file;
}

bool boot_names_program(void)
{
	struct file *argv = file_open_kernel("/.faultline/argv", O_RDONLY);

	if (is_err(argv))
		return false;
	file_put(argv);
	return true;
}

/* The table is not in use yet, so no lock is needed. */
static void open_streams(struct files *files)
{
	struct file *in = file_open_kernel("/.faultline/stdin", O_RDONLY);

	files_put_first(files, 0, is_err(in) ? open_or_die("/dev/ttyS0", O_RDONLY) : in);
	files_put_first(files, 1, open_or_die("/dev/ttyS1", O_RDWR));
	files_put_first(files, 2, open_or_die("/dev/ttyS2", O_RDWR));
}

static void open_console(struct files *files)
{
	for (unsigned fd = 0; fd < 3; fd++)
		files_put_first(files, fd, open_or_die("/dev/console", O_RDWR));
}

struct files *files_create_console(void)
{
	struct files *files = files_create();

	if (!files)
		return NULL;
	if (boot_names_program())
		open_streams(files);
	else
		open_console(files);
	return files;
}

void fs_quiet_release(void)
{
	super_destroy_all();
}

bool fs_quiet_check(void)
{
	bool files = file_quiet_check();

	return inode_quiet_check() && files;
}
