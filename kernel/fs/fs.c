/* SPDX-License-Identifier: MIT */
/* The tree at boot and at shut-down. */
#include "kernel/fs/fs.h"
#include "kernel/fs/console.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/ramfs.h"
#include "kernel/string.h"

static struct dentry *make_dir(struct dentry *dir, const char *name, enum fs_device dev, u32 mode)
{
	struct inode *inode = ramfs_inode(dev, S_IFDIR | mode, 0);
	struct dentry *dentry = inode ? ramfs_add(dir, name, strlen(name), inode) : err_ptr(-ENOMEM);

	if (is_err(dentry))
		panic("no memory for /%s at boot", name);
	return dentry;
}

static struct dentry *make_root(void)
{
	struct inode *inode = ramfs_inode(FS_DEV_ROOT, S_IFDIR | 0755, 0);
	struct dentry *root = inode ? dentry_alloc(NULL, "", 0, inode) : NULL;

	if (!root)
		panic("no memory for the root directory");
	root->linked = true;
	return root;
}

void fs_init(void)
{
	inode_init_caches();
	file_init_cache();
	rwsem_init(&fs_tree_lock, RANK_FILES);
	fs_root = make_root();
	rwsem_write(&fs_tree_lock);
	struct dentry *dev = make_dir(fs_root, "dev", FS_DEV_DEV, 0755);
	devices_create(dev);
	make_dir(dev, "shm", FS_DEV_SHM, 01777);
	procfs_create(make_dir(fs_root, "proc", FS_DEV_PROC, 0555));
	make_dir(fs_root, "tmp", FS_DEV_TMP, 01777);
	rwsem_write_unlock(&fs_tree_lock);
	console_init();
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

/* Nobody else knows the table yet, so no lock is needed. */
static void open_streams(struct files *files)
{
	struct file *in = file_open_kernel("/.faultline/stdin", O_RDONLY);

	files->fd[0] = is_err(in) ? open_or_die("/dev/ttyS0", O_RDONLY) : in;
	files->fd[1] = open_or_die("/dev/ttyS1", O_RDWR);
	files->fd[2] = open_or_die("/dev/ttyS2", O_RDWR);
}

static void open_console(struct files *files)
{
	for (unsigned fd = 0; fd < 3; fd++)
		files->fd[fd] = open_or_die("/dev/console", O_RDWR);
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

/*
 * Depth first, without recursion: goes down to a leaf, takes it away, goes on at its parent. The parent stays, because it
 * has a name itself or is the root.
 */
void fs_quiet_release(void)
{
	struct dentry *dentry = fs_root;

	rwsem_write(&fs_tree_lock);
	while (dentry != fs_root || !list_empty(&dentry->children)) {
		if (!list_empty(&dentry->children)) {
			dentry = list_first(&dentry->children, struct dentry, sibling);
			continue;
		}
		struct dentry *parent = dentry->parent;
		dentry_unlink(dentry);
		dentry = parent;
	}
	rwsem_write_unlock(&fs_tree_lock);
	fs_root->linked = false;
	dentry_put(fs_root);
	fs_root = NULL;
}

bool fs_quiet_check(void)
{
	bool files = file_quiet_check();

	return inode_quiet_check() && files;
}
