/* SPDX-License-Identifier: MIT */
/*
 * Reads directories. The entries are collected in kernel memory under fs_tree_lock and copied out afterwards, since
 * access to user memory may fault. Computed names (processes) are collected without that lock.
 */
#include "kernel/fs/getdents.h"
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define MAX_BUFFER 32768UL

struct linux_dirent64 {
	u64 ino;
	s64 off; /* position after this entry */
	u16 reclen;
	u8 type;
	char name[];
};
#define NAME_OFFSET 19UL
_Static_assert(__builtin_offsetof(struct linux_dirent64, name) == NAME_OFFSET, "Linux's struct linux_dirent64");

/* Emits one entry and advances the position. */
static bool emit(struct dir_context *ctx, const char *name, size_t len, struct inode *inode, u64 next)
{
	if (!ctx->emit(ctx, name, len, inode->ino, inode->mode, next))
		return false;
	ctx->pos = next;
	return true;
}

/* => fs_tree_lock held. Returns false if there is no more room. */
static bool emit_tree(struct dentry *dir, struct dir_context *ctx)
{
	struct dentry *child;

	assert_rwsem_held(&fs_tree_lock);
	if (ctx->pos == 0 && !emit(ctx, ".", 1, dir->inode, 1))
		return false;
	if (ctx->pos == 1 && !emit(ctx, "..", 2, dir->parent->inode, DIR_POS_FIRST))
		return false;
	for (child = dentry_first_child(dir, ctx->pos); child; child = dentry_next_sibling(child)) {
		if (!emit(ctx, child->name, strlen(child->name), child->inode, child->cookie + 1))
			return false;
	}
	return true;
}

int dir_iterate(struct dentry *dir, struct dir_context *ctx)
{
	const struct inode_ops *ops = dir->inode->ops;
	bool room = true;

	if (ctx->pos < DIR_POS_COMPUTED) {
		down_read(&fs_tree_lock);
		room = emit_tree(dir, ctx);
		up_read(&fs_tree_lock);
	}
	if (!room || !ops || !ops->iterate)
		return 0;
	ctx->pos = max(ctx->pos, DIR_POS_COMPUTED);
	return ops->iterate(dir->inode, ctx);
}

struct getdents_context {
	struct dir_context ctx;
	u8 *buf;
	size_t size, used;
	bool too_small; /* the first entry did not fit */
};

static bool getdents_fill(struct dir_context *ctx, const char *name, size_t len, u64 ino, u32 mode, u64 next)
{
	struct getdents_context *g = container_of(ctx, struct getdents_context, ctx);
	size_t reclen = align_up(NAME_OFFSET + len + 1, 8);
	struct linux_dirent64 *entry = (void *)(g->buf + g->used);

	if (reclen > g->size - g->used) {
		g->too_small = !g->used;
		return false;
	}
	memset(entry, 0, reclen);
	*entry =
		(struct linux_dirent64){ .ino = ino, .off = (s64)next, .reclen = (u16)reclen, .type = mode >> 12 & 15 };
	memcpy(entry->name, name, len);
	g->used += reclen;
	return true;
}

/* => file->pos_lock held. */
static long getdents_locked(struct file *file, u64 addr, size_t size)
{
	struct getdents_context g = { .ctx = { .emit = getdents_fill, .pos = file->pos }, .size = size };
	long ret;

	assert_mutex_held(&file->pos_lock);
	g.buf = kmalloc(size, ALLOC_WAIT);
	if (!g.buf)
		return -ENOMEM;
	ret = dir_iterate(file->dentry, &g.ctx);
	if (!ret && g.too_small)
		ret = -EINVAL;
	if (!ret && copy_to_user(addr, g.buf, g.used))
		ret = -EFAULT;
	if (!ret) {
		file->pos = g.ctx.pos;
		ret = (long)g.used;
	}
	kfree(g.buf);
	return ret;
}

/* A removed directory has no entries, not even "." and "..". */
static bool is_removed(struct dentry *dir)
{
	return !dir->linked && !dentry_is_computed(dir);
}

SYSCALL(getdents64)
{
	struct file *file = fget((int)a0);
	long ret;

	if (!file)
		return -EBADF;
	if (!S_ISDIR(file->inode->mode)) {
		ret = -ENOTDIR;
	} else if (is_removed(file->dentry)) {
		ret = -ENOENT;
	} else {
		mutex_lock(&file->pos_lock);
		ret = getdents_locked(file, a1, max(min((u64)(u32)a2, MAX_BUFFER), 1UL));
		mutex_unlock(&file->pos_lock);
	}
	file_put(file);
	return ret;
}
