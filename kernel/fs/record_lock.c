/* SPDX-License-Identifier: MIT */
/*
 * Record locks (fcntl's F_SETLK and its kin): advisory locks on ranges of bytes. The classic ones belong to a descriptor
 * table and go when it closes any descriptor of the file; those of F_OFD_* belong to an open file.
 *
 * The locks of a file are in a tree, by their ranges. One spinlock (a leaf) guards those of all files, one wait queue serves all
 * who wait. Memory is fetched before.
 */
#include "kernel/fs/record_lock.h"
#include "kernel/fs/files.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/ramfs.h"
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
	struct record_lock *next;  /* of those that are to be freed */
	const void *owner;	  /* a struct files or a struct file */
	s32 pid;		  /* who is told of; -1 for an open file's */
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

static void add(struct inode *inode, struct record_lock *lock)
{
	interval_tree_insert(&inode->records, &lock->node, (u64)lock->start, (u64)lock->end);
}

static void remove(struct inode *inode, struct record_lock *lock)
{
	interval_tree_remove(&inode->records, &lock->node);
}

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

/* => record_spinlock held. The first lock of another owner that is in the way, or NULL. */
static struct record_lock *find_conflict(struct inode *inode, const struct record_lock *wanted)
{
	struct record_lock *lock = first_lock(inode, wanted->start, wanted->end);

	assert_spin_held(&record_spinlock);
	for (; lock; lock = next_lock(lock, wanted->start, wanted->end))
		if (lock->owner != wanted->owner && (lock->type == F_WRLCK || wanted->type == F_WRLCK))
			break;
	return lock;
}

/* What one change needs, and what it leaves to be freed. */
struct record_change {
	struct record_lock *wanted; /* goes into the list, unless it unlocks */
	struct record_lock *spare;  /* for the rest of a lock that is cut in two */
	struct record_lock *unused; /* to be freed */
};

static void discard(struct record_change *change, struct record_lock *lock)
{
	lock->next = change->unused;
	change->unused = lock;
}

/* => record_spinlock held. Takes [from, to] out of a lock, of which some may be left on both sides. */
static void cut(struct inode *inode, struct record_lock *lock, s64 from, s64 to, struct record_change *change)
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
		add(inode, rest);
	} else if (lock->start >= from) {
		discard(change, lock);
	}
	if (lock->start < from) {
		lock->end = min(lock->end, from - 1);
		add(inode, lock);
	}
}

/*
 * => record_spinlock held. An own lock in the range, or beside it, gives way; one of the same type becomes one with it.
 */
static void give_way(struct inode *inode, struct record_lock *lock, s64 from, s64 to, struct record_change *change)
{
	struct record_lock *wanted = change->wanted;

	assert_spin_held(&record_spinlock);
	if (lock->type == wanted->type) {
		wanted->start = min(wanted->start, lock->start);
		wanted->end = max(wanted->end, lock->end);
		remove(inode, lock);
		discard(change, lock);
	} else if (lock->start <= to && lock->end >= from) {
		cut(inode, lock, from, to, change);
	}
}

/*
 * => record_spinlock held. What is left of a lock that was cut lies before the next one, or touches the range from
 * behind and stays as it is.
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
		discard(change, wanted);
	else
		add(inode, wanted);
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
	struct record_change change = { .wanted = kmalloc(sizeof(*lock), ALLOC_WAIT), .spare = kmalloc(sizeof(*lock), ALLOC_WAIT) };
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
	wake_up_all(&record_queue); /* less may be locked now than before */
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

/* Whether the current table still has the file there: only an address is compared, the caller holds the file. */
static bool still_open(const struct file *file, int fd)
{
	struct file *now = fget_raw(fd);

	if (now)
		file_put(now);
	return now == file;
}

/*
 * Another thread may have closed the descriptor, and let go of all locks of this table, before ours was there: then nobody
 * would ever let go of it. As Linux's fcntl_setlk().
 */
static long set_lock_of_table(struct file *file, int fd, struct record_lock *lock, bool wait)
{
	long ret = set_lock(file->inode, lock, wait);

	if (ret || lock->type == F_UNLCK || still_open(file, fd))
		return ret;
	lock->type = F_UNLCK;
	if (set_lock(file->inode, lock, false))
		record_lock_release(file->inode, lock->owner); /* no memory to split a lock: rather all of them */
	return -EBADF;
}

/* 0, -EINVAL or -EOVERFLOW. */
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

	if (!READ_ONCE(inode->records.root)) /* a lock of this owner would be seen: it is the owner who asks */
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
