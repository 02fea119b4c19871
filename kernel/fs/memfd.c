/* SPDX-License-Identifier: MIT */
/*
 * memfd_create(2), which makes files in memory without a name in the tree, and their seals. A seal is
 * added under inode->lock and i_mmap_lock; either suffices to read it.
 */
#include "kernel/fs/memfd.h"
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"

#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#define MEMFD_NAME_MAX (NAME_MAX - 6) /* "memfd:" goes before it */
#define F_ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

static struct file *memfd_open(const char *name, u32 flags)
{
	struct inode *inode = ramfs_inode(&memfd_super, S_IFREG | 0777, 0);
	char shown[NAME_MAX + 16];

	if (!inode)
		return err_ptr(-ENOMEM);
	inode->nlink = 0;
	inode->seals = flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL;
	ksnprintf(shown, sizeof(shown), "/memfd:%s (deleted)", name);
	return file_open_anon(inode, shown, &regular_file_ops, O_RDWR);
}

SYSCALL(memfd_create)
{
	u32 flags = (u32)a1;
	char name[NAME_MAX + 1];
	long len;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL;
	len = strncpy_from_user(name, a0, MEMFD_NAME_MAX + 1);
	if (len < 0)
		return -EFAULT;
	if (len > MEMFD_NAME_MAX)
		return -EINVAL;
	return fd_install_new(memfd_open(name, flags), flags & MFD_CLOEXEC ? O_CLOEXEC : 0);
}

/*
 * => inode->lock held for writing. A mapping that is writable, could be made so by mprotect(), or is being created
 * excludes F_SEAL_WRITE.
 */
static long add_seals_locked(struct inode *inode, u32 seals)
{
	struct mapping *mapping = inode->mapping;
	bool busy;

	assert_rwsem_write_held(&inode->lock);
	if (inode->seals & F_SEAL_SEAL)
		return -EPERM;
	spin_lock(&mapping->i_mmap_lock);
	busy = (seals & F_SEAL_WRITE) && !(inode->seals & F_SEAL_WRITE) && mapping->nr_writable;
	if (!busy)
		WRITE_ONCE(inode->seals, inode->seals | seals);
	spin_unlock(&mapping->i_mmap_lock);
	return busy ? -EBUSY : 0;
}

long memfd_add_seals(struct file *file, u32 seals)
{
	struct inode *inode = file->inode;
	long ret;

	if (inode->sb != &memfd_super)
		return -EINVAL;
	if (!(file->mode & FMODE_WRITE))
		return -EPERM;
	if (seals & ~(u32)F_ALL_SEALS)
		return -EINVAL;
	down_write(&inode->lock);
	ret = add_seals_locked(inode, seals);
	up_write(&inode->lock);
	return ret;
}

long memfd_get_seals(struct file *file)
{
	return file->inode->sb == &memfd_super ? (long)READ_ONCE(file->inode->seals) : -EINVAL;
}

bool memfd_mapping_begins(struct file *file)
{
	struct mapping *mapping = file->mapping;
	bool sealed;

	if (file->inode->sb != &memfd_super)
		return true;
	spin_lock(&mapping->i_mmap_lock);
	sealed = file->inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
	mapping->nr_writable += !sealed;
	spin_unlock(&mapping->i_mmap_lock);
	return !sealed;
}

void memfd_mapping_ends(struct file *file)
{
	struct mapping *mapping = file->mapping;

	if (file->inode->sb != &memfd_super)
		return;
	spin_lock(&mapping->i_mmap_lock);
	mapping->nr_writable--;
	spin_unlock(&mapping->i_mmap_lock);
}
