/* SPDX-License-Identifier: MIT */
/* Inodes and dentries: their lifetime, and the links between them. See inode.h for the locks. */
#include "kernel/fs/inode.h"
#include "kernel/fs/files.h"
#include "kernel/fs/super.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "mm/cache/mapping.h"
#include "mm/page/slab.h"

struct rwsem fs_tree_lock;
spinlock_t fs_rename_lock = SPINLOCK_INIT(LEAF);
struct dentry *fs_root;

static u64 last_ino; /* atomic */
static struct slab_cache *inode_cache, *dentry_cache;

void inode_init_caches(void)
{
	inode_cache = slab_create("inode", sizeof(struct inode), CACHE_LINE);
	dentry_cache = slab_create("dentry", sizeof(struct dentry), CACHE_LINE);
}

bool inode_quiet_check(void)
{
	u64 inodes = slab_in_use(inode_cache), dentries = slab_in_use(dentry_cache);

	if (inodes || dentries)
		klog("check: %lu inodes and %lu dentries have leaked", inodes, dentries);
	return !inodes && !dentries;
}

/* A file system on a device allocates inodes and dentries under locks of its own, which forbid reclaim. */
static unsigned may_wait(const struct super_block *sb)
{
	return sb->device ? 0 : ALLOC_WAIT;
}

struct inode *inode_alloc(struct super_block *sb, u32 mode, const struct inode_ops *ops, const struct file_ops *fops)
{
	struct inode *inode = slab_alloc(inode_cache, ALLOC_ZERO | may_wait(sb));

	if (!inode)
		return NULL;
	inode->refcount = 1;
	inode->nlink = S_ISDIR(mode) ? 2 : 1;
	inode->mode = mode;
	inode->sb = sb;
	atomic_inc(&sb->nr_inodes);
	inode->ino = atomic_add_return(&last_ino, 1);
	inode->ops = ops;
	inode->fops = fops;
	rwsem_init(&inode->lock, RANK_INODE);
	u64 now = realtime_ns();
	inode->times = (struct inode_times){ now, now, now, now };
	return inode;
}

void inode_put(struct inode *inode)
{
	if (atomic_dec_return(&inode->refcount))
		return;
	if (inode->ops && inode->ops->evict)
		inode->ops->evict(inode);
	struct super_block *sb = inode->sb;
	slab_free(inode_cache, inode);
	(void)atomic_add_return(&sb->nr_inodes, -1UL); /* last: a file system without inodes may be freed */
}

int inode_access_get(struct inode *inode, enum inode_access access)
{
	s32 old = READ_ONCE(inode->writers);

	if (!S_ISREG(inode->mode))
		return 0;
	do {
		if (access == ACCESS_WRITER ? old < 0 : old > 0)
			return -ETXTBSY;
	} while (!__atomic_compare_exchange_n(&inode->writers, &old, old + (s32)access, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	/* A remount sets MS_RDONLY first and looks for writers then, so at least one of the two sees the other. */
	if (access == ACCESS_WRITER && super_is_readonly(inode->sb)) {
		inode_access_put(inode, access);
		return -EROFS;
	}
	return 0;
}

void inode_access_put(struct inode *inode, enum inode_access access)
{
	if (S_ISREG(inode->mode))
		__atomic_sub_fetch(&inode->writers, (s32)access, __ATOMIC_RELAXED);
}

void inode_touch_atime(struct inode *inode)
{
	if (!super_is_readonly(inode->sb))
		WRITE_ONCE(inode->times.atime, realtime_ns());
}

/* A write fault on a file in memory notes its time in the mapping; this moves that time to the inode. */
void inode_settle_times(struct inode *inode)
{
	struct mapping *mapping = inode->mapping;
	u64 written_at = mapping && READ_ONCE(mapping->written_at) ? atomic_xchg(&mapping->written_at, 0) : 0;
	u64 time = realtime_ns() - ktime_ns() + cycles_to_ktime(written_at);

	if (!written_at)
		return;
	WRITE_ONCE(inode->times.mtime, time);
	WRITE_ONCE(inode->times.ctime, time);
}

void inode_touch_mtime(struct inode *inode)
{
	u64 now = realtime_ns();

	inode_settle_times(inode); /* first: the time noted there is older */
	WRITE_ONCE(inode->times.mtime, now);
	WRITE_ONCE(inode->times.ctime, now);
}

void inode_touch_ctime(struct inode *inode)
{
	WRITE_ONCE(inode->times.ctime, realtime_ns());
}

struct dentry *dentry_alloc(struct dentry *parent, const char *name, size_t len, struct inode *inode)
{
	struct dentry *dentry = slab_alloc(dentry_cache, ALLOC_ZERO | may_wait(inode->sb));
	char *copy = kmalloc(len + 1, may_wait(inode->sb));

	if (!dentry || !copy) {
		if (dentry)
			slab_free(dentry_cache, dentry);
		kfree(copy);
		inode_put(inode);
		return NULL;
	}
	memcpy(copy, name, len);
	copy[len] = 0;
	dentry->refcount = 1;
	dentry->inode = inode;
	dentry->name = copy;
	dentry->parent = parent ? dentry_get(parent) : dentry;
	dentry->next_cookie = DIR_POS_FIRST;
	return dentry;
}

/* A loop, not a recursion: the last put of a dentry in a removed branch may free the whole branch above it. */
void dentry_put(struct dentry *dentry)
{
	while (!atomic_dec_return(&dentry->refcount)) {
		struct dentry *parent = dentry->parent;

		ASSERT(!dentry->linked, "a name that exists is referenced by its directory");
		inode_put(dentry->inode);
		kfree(dentry->name);
		slab_free(dentry_cache, dentry);
		if (parent == dentry)
			return;
		dentry = parent;
	}
}

/* FNV-1a. */
static u64 hash_of(const char *name, size_t len)
{
	u64 hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (u8)name[i]) * 0x100000001b3;
	return hash;
}

/* Inserts the dentry under its own name, at the end of the directory. */
static void insert_name(struct dentry *dir, struct dentry *dentry)
{
	u64 hash = hash_of(dentry->name, strlen(dentry->name));

	dentry->cookie = dir->next_cookie++;
	interval_tree_insert(&dir->children, &dentry->sibling, dentry->cookie, dentry->cookie);
	interval_tree_insert(&dir->names, &dentry->by_name, hash, hash);
}

static void remove_name(struct dentry *dentry)
{
	interval_tree_remove(&dentry->parent->children, &dentry->sibling);
	interval_tree_remove(&dentry->parent->names, &dentry->by_name);
}

void dentry_link(struct dentry *dir, struct dentry *dentry)
{
	dentry_get(dentry);
	dentry->linked = true;
	insert_name(dir, dentry);
}

void dentry_unlink(struct dentry *dentry)
{
	remove_name(dentry);
	spin_lock(&fs_rename_lock);
	dentry->linked = false;
	spin_unlock(&fs_rename_lock);
	dentry_put(dentry);
}

struct dentry *dentry_find(struct dentry *dir, const char *name, size_t len)
{
	u64 hash = hash_of(name, len);
	struct interval_node *node;

	assert_rwsem_held(&fs_tree_lock);
	interval_tree_for_each (node, &dir->names, hash, hash) {
		struct dentry *child = container_of(node, struct dentry, by_name);

		if (!strncmp(child->name, name, len) && !child->name[len])
			return child;
	}
	return NULL;
}

void dentry_move(struct dentry *dentry, struct dentry *dir, char *name)
{
	struct dentry *old_parent = dentry->parent;
	char *old_name = dentry->name;

	assert_rwsem_write_held(&fs_tree_lock);
	remove_name(dentry);
	dentry_get(dir);
	spin_lock(&fs_rename_lock);
	dentry->parent = dir;
	dentry->name = name;
	spin_unlock(&fs_rename_lock);
	insert_name(dir, dentry);
	kfree(old_name);
	dentry_put(old_parent);
}

/* Writes a string before *at, unless it would begin before buf. */
static bool prepend(char *buf, char **at, const char *text, size_t len)
{
	if ((size_t)(*at - buf) < len)
		return false;
	*at -= len;
	memcpy(*at, text, len);
	return true;
}

/* A dentry that has no place in the tree ("pipe:[7]") is its own parent, and its path is the bare name. */
static bool prepend_path(struct dentry *dentry, const struct dentry *root, char *buf, char **at)
{
	if (dentry == fs_root || dentry == root)
		return prepend(buf, at, "/", 1);
	for (; dentry != fs_root && dentry != root; dentry = dentry->parent) {
		if (!prepend(buf, at, dentry->name, strlen(dentry->name)))
			return false;
		if (dentry->parent == dentry)
			return true;
		if (!prepend(buf, at, "/", 1))
			return false;
	}
	return true;
}

char *dentry_path(struct dentry *dentry, char *buf, size_t size)
{
	static const char deleted[] = " (deleted)";
	char *at = buf + size;
	bool fits = prepend(buf, &at, "", 1);
	struct dentry *root = current_root();

	spin_lock(&fs_rename_lock);
	bool computed = dentry_is_computed(dentry) || dentry->parent == dentry;
	if (!dentry->linked && !computed)
		fits = fits && prepend(buf, &at, deleted, sizeof(deleted) - 1);
	fits = fits && prepend_path(dentry, root, buf, &at);
	spin_unlock(&fs_rename_lock);
	dentry_put(root);
	return fits ? at : NULL;
}
