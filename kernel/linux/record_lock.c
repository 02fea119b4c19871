/* SPDX-License-Identifier: MIT */
/*
 * Record locks (F_SETLK and the other lock commands of fcntl): advisory locks on ranges of bytes. The classic ones
 * belong to a descriptor table, which releases them when it closes any descriptor of the file; those of F_OFD_* belong
 * to an open file.
 *
 * The locks of a file are in a tree, ordered by their ranges. One spinlock (a leaf) guards the locks of all files, and
 * one wait queue serves all waiters. Memory is allocated before the spinlock is taken.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/ramfs.h"
#include "kernel/linux_hooks.h"
#include "kernel/signal/signal.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

/* Linux's struct flock. */
struct user_flock {
	s16 type, whence;
	s64 start, len;
	s32 pid;
};
_Static_assert(sizeof(struct user_flock) == 32, "Linux's struct flock");

struct record_lock {
	struct interval_node node; /* in inode->records */
	struct record_lock *next;  /* in a list of locks to be freed */
	const void *owner;	   /* a struct files or a struct file */
	s32 pid;		   /* reported by F_GETLK; -1 for an open file's lock */
	s16 type;
	s64 start, end; /* inclusive */
};

static spinlock_t record_spinlock = SPINLOCK_INIT(LEAF);
static struct wait_queue record_queue = WAIT_QUEUE_INIT(record_queue);

/* ---- The tree of one file; record_spinlock is held --------------------------------------------------------------- */

static struct record_lock *lock_of(struct interval_node *node)
{
	return node ? container_of(node, struct record_lock, node) : NULL;
}

static struct record_lock *first_lock(const struct inode *inode, s64 start, s64 end)
{
	return lock_of(interval_tree_first(&inode->records, (u64)start, (u64)end));
}

static struct record_lock *next_lock(const struct record_lock *lock, s64 start, s64 end)
{
	return lock_of(interval_tree_next(&lock->node, (u64)start, (u64)end));
}

static void record_add(struct inode *inode, struct record_lock *lock)
{
	interval_tree_insert(&inode->records, &lock->node, (u64)lock->start, (u64)lock->end);
}

static void remove(struct inode *inode, struct record_lock *lock)
{
	interval_tree_remove(&inode->records, &lock->node);
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

/* => record_spinlock held. Returns the first conflicting lock of another owner, or NULL. */
static struct record_lock *find_conflict(struct inode *inode, const struct record_lock *wanted)
{
	struct record_lock *lock = first_lock(inode, wanted->start, wanted->end);

	assert_spin_held(&record_spinlock);
	for (; lock; lock = next_lock(lock, wanted->start, wanted->end))
		if (lock->owner != wanted->owner && (lock->type == F_WRLCK || wanted->type == F_WRLCK))
			break;
	return lock;
}

/* The memory that one change needs, and the locks to be freed after it. */
struct record_change {
	struct record_lock *wanted; /* inserted into the tree, unless it unlocks */
	struct record_lock *spare;  /* second part of a lock that is split */
	struct record_lock *unused; /* to be freed */
};

static void record_discard(struct record_change *change, struct record_lock *lock)
{
	lock->next = change->unused;
	change->unused = lock;
}

/* => record_spinlock held. Cuts [from, to] out of a lock; a part may remain on each side. */
static void record_cut(struct inode *inode, struct record_lock *lock, s64 from, s64 to, struct record_change *change)
{
	struct record_lock *rest = lock;

	assert_spin_held(&record_spinlock);
	remove(inode, lock);
	if (lock->start < from && lock->end > to) {
		rest = change->spare;
		change->spare = NULL;
		*rest = *lock;
	}
	if (rest->end > to) {
		rest->start = max(rest->start, to + 1);
		record_add(inode, rest);
	} else if (lock->start >= from) {
		record_discard(change, lock);
	}
	if (lock->start < from) {
		lock->end = min(lock->end, from - 1);
		record_add(inode, lock);
	}
}

/*
 * => record_spinlock held. Makes way for the wanted lock: merges an own lock of the same type that overlaps or adjoins
 * it, and cuts the range out of one of another type.
 */
static void give_way(struct inode *inode, struct record_lock *lock, s64 from, s64 to, struct record_change *change)
{
	struct record_lock *wanted = change->wanted;

	assert_spin_held(&record_spinlock);
	if (lock->type == wanted->type) {
		wanted->start = min(wanted->start, lock->start);
		wanted->end = max(wanted->end, lock->end);
		remove(inode, lock);
		record_discard(change, lock);
	} else if (lock->start <= to && lock->end >= from) {
		record_cut(inode, lock, from, to, change);
	}
}

/*
 * => record_spinlock held. The loop need not visit the remains of a lock that was cut: they lie before the next lock,
 * or right after the range.
 */
static void apply(struct inode *inode, struct record_change *change)
{
	struct record_lock *wanted = change->wanted, *lock, *next;
	s64 from = wanted->start, to = wanted->end;
	s64 first = from - (from != 0), last = to + (to != (s64)MAX_FILE_SIZE);

	assert_spin_held(&record_spinlock);
	for (lock = first_lock(inode, first, last); lock; lock = next) {
		next = next_lock(lock, first, last);
		if (lock->owner == wanted->owner)
			give_way(inode, lock, from, to, change);
	}
	if (wanted->type == F_UNLCK)
		record_discard(change, wanted);
	else
		record_add(inode, wanted);
}

static bool try_change(struct inode *inode, struct record_change *change)
{
	spin_lock(&record_spinlock);
	bool free = change->wanted->type == F_UNLCK || !find_conflict(inode, change->wanted);
	if (free)
		apply(inode, change);
	spin_unlock(&record_spinlock);
	return free;
}

static void free_records(struct record_lock *lock)
{
	while (lock) {
		struct record_lock *next = lock->next;
		kfree(lock);
		lock = next;
	}
}

static long set_lock(struct inode *inode, const struct record_lock *lock, bool wait)
{
	struct record_change change = { .wanted = kmalloc(sizeof(*lock), ALLOC_WAIT),
					.spare = kmalloc(sizeof(*lock), ALLOC_WAIT) };
	long ret = 0;

	if (!change.wanted || !change.spare) {
		kfree(change.wanted);
		kfree(change.spare);
		return -ENOMEM;
	}
	*change.wanted = *lock;
	if (!try_change(inode, &change))
		ret = wait ? wait_event_interruptible(&record_queue, try_change(inode, &change)) : -EAGAIN;
	if (ret)
		kfree(change.wanted);
	kfree(change.spare);
	free_records(change.unused);
	wake_up_all(&record_queue); /* the change may have unlocked a range */
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

static void get_lock(struct inode *inode, const struct record_lock *wanted, struct user_flock *answer)
{
	spin_lock(&record_spinlock);
	struct record_lock *l = find_conflict(inode, wanted);
	if (l) {
		*answer = (struct user_flock){ .type = l->type, .whence = SEEK_SET, .start = l->start, .pid = l->pid };
		answer->len = l->end == (s64)MAX_FILE_SIZE ? 0 : l->end - l->start + 1;
	} else {
		answer->type = F_UNLCK;
	}
	spin_unlock(&record_spinlock);
}

/* Returns true if fd still refers to the file. Compares addresses only; the caller has a reference to the file. */
static bool still_open(const struct file *file, int fd)
{
	struct file *now = fget_raw(fd);

	if (now)
		file_put(now);
	return now == file;
}

/*
 * Another thread may have closed the descriptor, and so released all locks of the table, before the new lock was set.
 * Then nothing would ever release the new one, so it is removed again, as in Linux's fcntl_setlk().
 */
static long set_lock_of_table(struct file *file, int fd, struct record_lock *lock, bool wait)
{
	long ret = set_lock(file->inode, lock, wait);

	if (ret || lock->type == F_UNLCK || still_open(file, fd))
		return ret;
	lock->type = F_UNLCK;
	if (set_lock(file->inode, lock, false))
		record_lock_release(file->inode, lock->owner); /* no memory to split a lock: release all */
	return -EBADF;
}

/* Converts the range that the user asked for. Returns 0, -EINVAL or -EOVERFLOW. */
static long get_range(struct file *file, const struct user_flock *user, struct record_lock *lock)
{
	s64 base = 0;

	if (user->whence == SEEK_CUR)
		base = (s64)READ_ONCE(file->pos);
	else if (user->whence == SEEK_END)
		base = (s64)inode_size(file->inode);
	else if (user->whence != SEEK_SET)
		return -EINVAL;
	if (__builtin_add_overflow(base, user->start, &lock->start))
		return -EOVERFLOW;
	if (lock->start < 0)
		return -EINVAL;
	lock->end = (s64)MAX_FILE_SIZE;
	if (user->len > 0 && __builtin_add_overflow(lock->start, user->len - 1, &lock->end))
		return -EOVERFLOW;
	if (user->len < 0) {
		lock->end = lock->start - 1;
		lock->start += user->len;
	}
	return lock->start < 0 ? -EINVAL : 0;
}

static long check_type(struct file *file, const struct user_flock *user, bool set)
{
	switch (user->type) {
	case F_RDLCK:
		return !set || (file->mode & FMODE_READ) ? 0 : -EBADF;
	case F_WRLCK:
		return !set || (file->mode & FMODE_WRITE) ? 0 : -EBADF;
	case F_UNLCK:
		return set ? 0 : -EINVAL;
	}
	return -EINVAL;
}

long record_lock_control(struct file *file, int fd, u32 cmd, u64 addr)
{
	bool of_file = cmd >= F_OFD_GETLK, set = cmd != F_GETLK && cmd != F_OFD_GETLK;
	struct record_lock lock = { .owner = of_file ? (void *)file : (void *)current->files };
	struct user_flock user;
	long ret;

	assert_may_sleep();
	if (copy_from_user(&user, addr, sizeof(user)))
		return -EFAULT;
	if (of_file && user.pid)
		return -EINVAL;
	lock.type = user.type;
	lock.pid = of_file ? -1 : current->process->pid;
	ret = get_range(file, &user, &lock);
	if (!ret)
		ret = check_type(file, &user, set);
	if (ret)
		return ret;
	if (cmd == F_SETLK || cmd == F_SETLKW)
		return set_lock_of_table(file, fd, &lock, cmd == F_SETLKW);
	if (set)
		return set_lock(file->inode, &lock, cmd == F_OFD_SETLKW);
	get_lock(file->inode, &lock, &user);
	return copy_to_user(addr, &user, sizeof(user)) ? -EFAULT : 0;
}

void record_lock_release(struct inode *inode, const void *owner)
{
	struct record_lock *lock, *next, *gone = NULL;

	if (!READ_ONCE(inode->records.root)) /* unlocked: the caller is the owner, and sees its own locks */
		return;
	spin_lock(&record_spinlock);
	for (lock = first_lock(inode, 0, MAX_FILE_SIZE); lock; lock = next) {
		next = next_lock(lock, 0, MAX_FILE_SIZE);
		if (lock->owner != owner)
			continue;
		remove(inode, lock);
		lock->next = gone;
		gone = lock;
	}
	spin_unlock(&record_spinlock);
	if (gone)
		wake_up_all(&record_queue);
	free_records(gone);
}
