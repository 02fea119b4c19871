/* SPDX-License-Identifier: MIT */
/*
 * Record locks (fcntl's F_SETLK and its kin): advisory locks on ranges of bytes. The classic ones belong to a descriptor
 * table and go when it closes any descriptor of the file; those of F_OFD_* belong to an open file.
 *
 * One spinlock (a leaf) guards the locks of all files, one wait queue serves all who wait. Memory is fetched before.
 */
#include "kernel/fs/record_lock.h"
#include "kernel/fs/files.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/ramfs.h"
#include "kernel/signal.h"
#include "kernel/task.h"
#include "kernel/uaccess.h"
#include "mm/slab.h"

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
	struct record_lock *next; /* in inode->records */
	const void *owner;	  /* a struct files or a struct file */
	s32 pid;		  /* who is told of; -1 for an open file's */
	s16 type;
	s64 start, end; /* inclusive */
};

static spinlock_t record_spinlock = SPINLOCK_INIT(LEAF);
static struct wait_queue record_queue = WAIT_QUEUE_INIT(record_queue);

static bool overlap(const struct record_lock *a, const struct record_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* => record_spinlock. The first lock of another owner that is in the way, or NULL. */
static struct record_lock *find_conflict(struct inode *inode, const struct record_lock *wanted)
{
	for (struct record_lock *l = inode->records; l; l = l->next) {
		if (l->owner != wanted->owner && overlap(l, wanted) && (l->type == F_WRLCK || wanted->type == F_WRLCK))
			return l;
	}
	return NULL;
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

/* Takes [from, to] out of a lock; false when nothing of it is left. */
static bool cut(struct record_lock *lock, s64 from, s64 to, struct record_change *change)
{
	if (lock->start < from && lock->end > to) {
		struct record_lock *rest = change->spare;

		change->spare = NULL;
		*rest = *lock;
		rest->start = to + 1;
		lock->end = from - 1;
		lock->next = rest;
	} else if (lock->start < from) {
		lock->end = min(lock->end, from - 1);
	} else if (lock->end > to) {
		lock->start = max(lock->start, to + 1);
	} else {
		return false;
	}
	return true;
}

/* => record_spinlock. Own locks in the range give way; those of the same type beside it become one with it. */
static void apply(struct inode *inode, struct record_change *change)
{
	struct record_lock *wanted = change->wanted, *lock;
	s64 from = wanted->start, to = wanted->end;

	for (struct record_lock **at = &inode->records; (lock = *at) != NULL;) {
		bool touches = lock->start <= to + (to != (s64)MAX_FILE_SIZE) && lock->end >= from - (from != 0);

		if (lock->owner != wanted->owner || !touches) {
			at = &lock->next;
			continue;
		}
		if (lock->type == wanted->type) {
			wanted->start = min(wanted->start, lock->start);
			wanted->end = max(wanted->end, lock->end);
		} else if (lock->start > to || lock->end < from || cut(lock, from, to, change)) {
			at = &lock->next;
			continue;
		}
		*at = lock->next;
		discard(change, lock);
	}
	if (wanted->type == F_UNLCK) {
		discard(change, wanted);
		return;
	}
	wanted->next = inode->records;
	inode->records = wanted;
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
	struct record_lock *lock, *gone = NULL;

	if (!READ_ONCE(inode->records)) /* a lock of this owner would be seen: it is the owner who asks */
		return;
	spin_lock(&record_spinlock);
	for (struct record_lock **at = &inode->records; (lock = *at) != NULL;) {
		if (lock->owner != owner) {
			at = &lock->next;
			continue;
		}
		*at = lock->next;
		lock->next = gone;
		gone = lock;
	}
	spin_unlock(&record_spinlock);
	if (gone)
		wake_up_all(&record_queue);
	free_records(gone);
}
