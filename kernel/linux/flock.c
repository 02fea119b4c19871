/* SPDX-License-Identifier: MIT */
/*
 * flock(2): advisory locks that belong to an open file. They are few, so one spinlock (a leaf) guards the locks of all
 * files, and one wait queue serves all waiters.
 */
#include "kernel/fs/files.h"
#include "kernel/linux_hooks.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall.h"
#include "mm/page/slab.h"

#define LOCK_SH 1u
#define LOCK_EX 2u
#define LOCK_NB 4u
#define LOCK_UN 8u

struct file_lock {
	struct file_lock *next;
	struct file *owner;
	bool exclusive;
};

static spinlock_t flock_lock = SPINLOCK_INIT(LEAF);
static struct wait_queue flock_queue = WAIT_QUEUE_INIT(flock_queue);

/* => flock_lock held. Removes the file's lock from the inode's list and returns it, or NULL if the file has none. */
static struct file_lock *take_own(struct file *file)
{
	assert_spin_held(&flock_lock);
	for (struct file_lock **at = &file->inode->flocks; *at; at = &(*at)->next) {
		if ((*at)->owner == file) {
			struct file_lock *own = *at;
			*at = own->next;
			return own;
		}
	}
	return NULL;
}

void flock_release(struct file *file)
{
	/* Unlocked: the file's own lock would be seen. This thread set it, or was ordered after the thread that did. */
	if (!READ_ONCE(file->inode->flocks))
		return;
	spin_lock(&flock_lock);
	struct file_lock *own = take_own(file);
	spin_unlock(&flock_lock);
	kfree(own);
	if (own)
		wake_up_all(&flock_queue);
}

/* => flock_lock held. */
static bool conflicts(struct file *file, bool exclusive)
{
	assert_spin_held(&flock_lock);
	for (struct file_lock *l = file->inode->flocks; l; l = l->next) {
		if (l->owner != file && (exclusive || l->exclusive))
			return true;
	}
	return false;
}

/* Replaces the file's lock by `new`, unless another file's lock conflicts. *old is the lock to be freed. */
static bool try_flock(struct file *file, struct file_lock *new, struct file_lock **old)
{
	spin_lock(&flock_lock);
	bool free = !conflicts(file, new->exclusive);
	if (free) {
		*old = take_own(file);
		new->next = file->inode->flocks;
		file->inode->flocks = new;
	}
	spin_unlock(&flock_lock);
	return free;
}

static long flock_file(struct file *file, bool exclusive, bool nonblock)
{
	struct file_lock *new = kmalloc(sizeof(*new), ALLOC_WAIT), *old = NULL;
	long ret = 0;

	if (!new)
		return -ENOMEM;
	*new = (struct file_lock){ .owner = file, .exclusive = exclusive };
	if (!try_flock(file, new, &old)) {
		flock_release(file); /* a conversion first drops the old lock, as on Linux */
		ret = nonblock ? -EAGAIN : wait_event_interruptible(&flock_queue, try_flock(file, new, &old));
	}
	kfree(ret ? new : old);
	if (old)
		wake_up_all(&flock_queue);
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

SYSCALL(flock)
{
	struct file *file = fget((int)a0);
	u32 op = (u32)a1 & ~LOCK_NB;
	long ret = 0;

	if (!file)
		return -EBADF;
	if (op == LOCK_UN)
		flock_release(file);
	else if (op == LOCK_SH || op == LOCK_EX)
		ret = flock_file(file, op == LOCK_EX, a1 & LOCK_NB);
	else
		ret = -EINVAL;
	file_put(file);
	return ret;
}
