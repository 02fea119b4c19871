/* SPDX-License-Identifier: MIT */
/*
 * Adding and removing names in directories. The tree is in memory. A file system that also stores it elsewhere is
 * called before each change, and may refuse it. fs_tree_lock is held throughout.
 */
#include "kernel/fs/dir.h"
#include "kernel/fs/super.h"

int dir_may_create(struct dentry *dir)
{
	assert_rwsem_held(&fs_tree_lock);
	if (!S_ISDIR(dir->inode->mode))
		return -ENOTDIR;
	if (dentry_is_computed(dir) || !dir->linked)
		return -ENOENT;
	return super_is_readonly(dir->inode->sb) ? -EROFS : 0;
}

/* Has the file system record the name, then links the dentry. */
static int link_dentry(struct dentry *dir, struct dentry *dentry)
{
	const struct fs_type *type = dir->inode->sb->type;
	int ret = type->add_name ? type->add_name(dentry) : 0;

	if (!ret)
		dentry_link(dir, dentry);
	return ret;
}

struct dentry *dir_add(struct dentry *dir, const char *name, size_t len, struct inode *inode)
{
	struct dentry *dentry = dentry_alloc(dir, name, len, inode);
	int ret;

	assert_rwsem_write_held(&fs_tree_lock);
	if (!dentry)
		return err_ptr(-ENOMEM);
	ret = link_dentry(dir, dentry);
	if (!ret) {
		if (S_ISDIR(inode->mode))
			dir->inode->nlink++;
		inode_touch_mtime(dir->inode);
	}
	dentry_put(dentry);
	return ret ? err_ptr(ret) : dentry;
}

struct dentry *dir_create(struct dentry *dir, const char *name, size_t len, u32 mode, u32 rdev)
{
	struct super_block *sb = dir->inode->sb;
	struct inode *inode = sb->type->create(sb, mode, rdev, NULL, 0);

	assert_rwsem_write_held(&fs_tree_lock);
	return is_err(inode) ? err_ptr(ptr_err(inode)) : dir_add(dir, name, len, inode);
}

int dentry_may_remove(struct dentry *dentry)
{
	assert_rwsem_held(&fs_tree_lock);
	if (dentry == dentry->inode->sb->root)
		return -EBUSY;
	if (dentry_is_computed(dentry) || READ_ONCE(dentry->inode->is_swap))
		return -EPERM;
	return super_is_readonly(dentry->inode->sb) ? -EROFS : 0;
}

int dir_remove(struct dentry *dentry)
{
	struct inode *dir = dentry->parent->inode, *inode = dentry->inode;
	const struct fs_type *type = inode->sb->type;
	bool directory = S_ISDIR(inode->mode);
	int ret = type->remove_name ? type->remove_name(dentry) : 0;

	assert_rwsem_write_held(&fs_tree_lock);
	if (ret)
		return ret;
	inode->nlink -= directory ? 2 : 1;
	dir->nlink -= directory;
	inode_touch_mtime(dir);
	inode_touch_ctime(inode);
	dentry_unlink(dentry);
	return 0;
}
