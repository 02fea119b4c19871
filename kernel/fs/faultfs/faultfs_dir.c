/* SPDX-License-Identifier: MIT */
/*
 * Loads the names of a faultfs at mount, and records their changes on the disk. While it is mounted all names are in
 * memory, as dentries that know their slot. fs_tree_lock is held for writing (not at mount, when no other thread knows
 * the names); takes fs->lock.
 */
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/lib/string.h"

/*
 * Returns a slot of a directory, and its page, with a reference that the caller drops. err_ptr(-EIO, …).
 * => fs->lock held.
 */
static struct faultfs_slot *get_slot(struct faultfs_file *dir, u32 slot, struct page **page)
{
	s64 block = faultfs_lookup(dir, slot / FAULTFS_SLOTS_PER_BLOCK);

	assert_mutex_held(&dir->fs->lock);
	if (block <= 0)
		return err_ptr(block ? block : -EIO);
	*page = faultfs_get(dir->fs, (u32)block);
	if (is_err(*page))
		return err_ptr(ptr_err(*page));
	return (struct faultfs_slot *)page_to_virt(*page) + slot % FAULTFS_SLOTS_PER_BLOCK;
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

/* Adds a block of slots to a directory. Returns: 0 or -errno. => fs->lock held. */
static int faultfs_dir_grow(struct faultfs_file *dir)
{
	bool fresh;
	s64 block = faultfs_lookup_or_alloc(dir, dir->nr_slots / FAULTFS_SLOTS_PER_BLOCK, &fresh);
	struct page *page;

	assert_mutex_held(&dir->fs->lock);
	if (block < 0)
		return (int)block;
	page = faultfs_get_new(dir->fs, (u32)block);
	if (is_err(page))
		return (int)ptr_err(page);
	page_put(page);
	dir->nr_slots += FAULTFS_SLOTS_PER_BLOCK;
	return 0;
}

/* Returns the number of a free slot, or -errno. => fs->lock held. */
static s64 faultfs_dir_find_free(struct faultfs_file *dir)
{
	assert_mutex_held(&dir->fs->lock);
	for (; dir->first_free < dir->nr_slots; dir->first_free++) {
		struct page *page;
		struct faultfs_slot *slot = get_slot(dir, dir->first_free, &page);
		bool is_free;

		if (is_err(slot))
			return ptr_err(slot);
		is_free = !slot->ino;
		page_put(page);
		if (is_free)
			return dir->first_free;
	}
	int ret = faultfs_dir_grow(dir);
	return ret ? ret : (s64)dir->first_free;
}

/* Stores a name in a free slot. Returns the slot's number, or -errno. => fs->lock held. */
static s64 fill_free(struct faultfs_file *dir, const char *name, u32 ino)
{
	s64 number = faultfs_dir_find_free(dir);
	struct faultfs_slot *slot;
	struct page *page;

	assert_mutex_held(&dir->fs->lock);
	if (number < 0)
		return number;
	slot = get_slot(dir, (u32)number, &page);
	if (is_err(slot))
		return ptr_err(slot);
	slot->ino = ino;
	slot->length = (u8)strlen(name);
	memcpy(slot->name, name, slot->length);
	faultfs_changed(page);
	page_put(page);
	return number;
}

/* Makes a slot name another inode, or frees it (0). Returns: 0 or -errno. => fs->lock held. */
static int faultfs_dir_set_slot(struct faultfs_file *dir, u32 number, u32 ino)
{
	struct page *page;
	struct faultfs_slot *slot = get_slot(dir, number, &page);

	assert_mutex_held(&dir->fs->lock);
	if (is_err(slot))
		return (int)ptr_err(slot);
	slot->ino = ino;
	faultfs_changed(page);
	page_put(page);
	if (!ino)
		dir->first_free = min(dir->first_free, number);
	return 0;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

static struct faultfs_file *dir_of(const struct dentry *dentry)
{
	return faultfs_file_of(dentry->parent->inode);
}

static u32 ino_of(const struct dentry *dentry)
{
	return faultfs_file_of(dentry->inode)->ino;
}

int faultfs_add_name(struct dentry *dentry)
{
	struct faultfs_file *dir = dir_of(dentry);
	s64 slot;

	mutex_lock(&dir->fs->lock);
	slot = fill_free(dir, dentry->name, ino_of(dentry));
	mutex_unlock(&dir->fs->lock);
	if (slot < 0)
		return (int)slot;
	dentry->slot = (u32)slot;
	faultfs_file_of(dentry->inode)->has_name = true;
	return 0;
}

int faultfs_remove_name(struct dentry *dentry)
{
	struct faultfs_file *dir = dir_of(dentry);
	int ret;

	mutex_lock(&dir->fs->lock);
	ret = faultfs_dir_set_slot(dir, dentry->slot, 0);
	mutex_unlock(&dir->fs->lock);
	return ret;
}

/* Exchanges the inodes of two slots; the names stay where they are. => fs->lock held. */
static int exchange_slots(struct dentry *a, struct dentry *b)
{
	u32 slot = a->slot;
	int ret = faultfs_dir_set_slot(dir_of(a), a->slot, ino_of(b));

	assert_mutex_held(&dir_of(a)->fs->lock);
	if (!ret)
		ret = faultfs_dir_set_slot(dir_of(b), b->slot, ino_of(a));
	if (ret)
		return ret; /* cannot happen: both blocks have been in memory since the mount */
	a->slot = b->slot;
	b->slot = slot;
	return 0;
}

/* => fs->lock held. */
static int move_slot(struct dentry *dentry, struct faultfs_file *dir, const char *name, struct dentry *target)
{
	s64 slot = target ? target->slot : fill_free(dir, name, ino_of(dentry));
	int ret = slot < 0 ? (int)slot : 0;

	assert_mutex_held(&dir->fs->lock);
	if (!ret && target)
		ret = faultfs_dir_set_slot(dir, target->slot, ino_of(dentry));
	if (!ret)
		ret = faultfs_dir_set_slot(dir_of(dentry), dentry->slot, 0);
	if (!ret)
		dentry->slot = (u32)slot;
	return ret;
}

int faultfs_rename(struct dentry *dentry, struct dentry *dir, const char *name, struct dentry *target, bool exchange)
{
	struct faultfs_file *to = faultfs_file_of(dir->inode);
	int ret;

	mutex_lock(&to->fs->lock);
	ret = exchange ? exchange_slots(dentry, target) : move_slot(dentry, to, name, target);
	mutex_unlock(&to->fs->lock);
	return ret;
}

/* ---- Loading the tree -------------------------------------------------------------------------------------------- */

/*
 * Returns the inode of that number, with a reference, or an error pointer: a directory may have only one name.
 * => fs->lock held.
 */
static struct inode *faultfs_dir_load(struct faultfs *fs, u32 ino)
{
	struct faultfs_inode *record;
	struct inode *inode;
	struct page *page;
	int ret;

	assert_mutex_held(&fs->lock);
	if (!ino || ino > fs->layout.nr_inodes)
		return err_ptr(-EIO);
	if (fs->files[ino]) {
		inode = fs->files[ino]->inode;
		if (S_ISDIR(inode->mode))
			return err_ptr(-EIO);
		inode_get(inode);
		return inode;
	}
	record = faultfs_record(fs, ino, &page);
	if (is_err(record))
		return err_ptr(ptr_err(record));
	inode = faultfs_record_makes_sense(record) ? faultfs_new_inode(fs, ino, record->mode, record->rdev)
						   : err_ptr(-EIO);
	ret = is_err(inode) ? 0 : faultfs_load_inode(inode, record);
	page_put(page);
	if (!ret)
		return inode;
	inode_put(inode);
	return err_ptr(ret);
}

static bool is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!name[i] || name[i] == '/')
			return false;
	return len > 2 || (len == 1 && *name != '.') || (len == 2 && !(name[0] == '.' && name[1] == '.'));
}

/* => fs->lock held. */
static int load_name(struct faultfs *fs, struct dentry *dir, const struct faultfs_slot *slot, u32 number)
{
	struct inode *inode = is_name(slot->name, slot->length) ? faultfs_dir_load(fs, slot->ino) : err_ptr(-EIO);
	struct dentry *dentry;

	assert_mutex_held(&fs->lock);
	if (is_err(inode))
		return (int)ptr_err(inode);
	dentry = dentry_alloc(dir, slot->name, slot->length, inode);
	if (!dentry)
		return -ENOMEM;
	dentry->slot = number;
	dentry_link(dir, dentry);
	dentry_put(dentry);
	return 0;
}

/* => fs->lock held. */
static int load_dir(struct faultfs *fs, struct dentry *dir)
{
	struct faultfs_file *file = faultfs_file_of(dir->inode);
	int ret = 0;

	assert_mutex_held(&fs->lock);
	for (u32 number = 0; !ret && number < file->nr_slots; number++) {
		struct page *page;
		struct faultfs_slot *slot = get_slot(file, number, &page);

		if (is_err(slot))
			return (int)ptr_err(slot);
		if (slot->ino)
			ret = load_name(fs, dir, slot, number);
		page_put(page);
	}
	return ret;
}

int faultfs_load_tree(struct faultfs *fs, struct dentry *root)
{
	int ret = 0;

	mutex_lock(&fs->lock);
	for (struct dentry *dentry = root; !ret && dentry; dentry = dentry_next(root, dentry))
		if (S_ISDIR(dentry->inode->mode))
			ret = load_dir(fs, dentry);
	mutex_unlock(&fs->lock);
	return ret;
}
