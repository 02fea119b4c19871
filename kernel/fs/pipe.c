/* SPDX-License-Identifier: MIT */
/*
 * Pipes and FIFOs: a ring of bytes in pages that are allocated when they are first written to. A write of up to
 * PIPE_BUF bytes is atomic: its bytes do not mix with those of another.
 *
 * Locks: pipe->lock (mutex, RANK_INODE), held while bytes are copied from and to user memory, as on Linux; it is
 * released while a thread waits for the other end. attach_lock (spinlock, a leaf) guards which pipe a FIFO's inode has.
 */
#include "kernel/fs/pipe.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/super.h"
#include "kernel/signal/signal.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define PIPE_BUF 4096u
#define DEFAULT_PAGES 16u
#define MAX_PAGES 256u /* /proc/sys/fs/pipe-max-size of 1 MiB */
#define FIONREAD 0x541bu

struct pipe {
	u32 users; /* attach_lock; number of open files */

	struct mutex lock;
	u32 readers, writers;		      /* lock; unlocked reads decide only whether to check again */
	u32 reader_opens, writer_opens;	      /* lock; opens ever made: a FIFO's open waits for the next one */
	u64 head, tail;			      /* lock; positions of writers and readers; unlocked reads as above */
	u32 nr_pages;			      /* lock; a power of two */
	u8 **pages;			      /* lock; [nr_pages], each NULL until it is needed */
	u32 nr_filled;			      /* lock; pages that are not NULL; unlocked reads for an estimate */
	struct wait_queue readable, writable; /* own locks */
};

static spinlock_t attach_lock = SPINLOCK_INIT(LEAF);

/* --- creation and release --- */

static void pipe_free(struct pipe *pipe)
{
	for (u32 i = 0; pipe->pages && i < pipe->nr_pages; i++)
		kfree(pipe->pages[i]);
	kfree(pipe->pages);
	kfree(pipe);
}

static struct pipe *pipe_alloc(void)
{
	struct pipe *pipe = kmalloc(sizeof(*pipe), ALLOC_ZERO | ALLOC_WAIT);

	if (!pipe)
		return NULL;
	mutex_init(&pipe->lock, RANK_INODE);
	wait_queue_init(&pipe->readable);
	wait_queue_init(&pipe->writable);
	pipe->nr_pages = DEFAULT_PAGES;
	pipe->pages = kmalloc(DEFAULT_PAGES * sizeof(pipe->pages[0]), ALLOC_ZERO | ALLOC_WAIT);
	if (pipe->pages)
		return pipe;
	pipe_free(pipe);
	return NULL;
}

/* Returns the inode's pipe, with one user more; creates it if there is none. NULL: no memory. */
static struct pipe *pipe_attach(struct inode *inode)
{
	struct pipe *new = pipe_alloc(), *pipe;

	spin_lock(&attach_lock);
	if (!inode->pipe) {
		inode->pipe = new;
		new = NULL;
	}
	pipe = inode->pipe;
	if (pipe)
		pipe->users++;
	spin_unlock(&attach_lock);
	if (new)
		pipe_free(new);
	return pipe;
}

static void pipe_detach(struct inode *inode, struct pipe *pipe)
{
	spin_lock(&attach_lock);
	bool last = !--pipe->users;
	if (last)
		inode->pipe = NULL;
	spin_unlock(&attach_lock);
	if (last)
		pipe_free(pipe);
}

/* Context: pipe->lock held, or only the caller knows the pipe. */
static void count_ends(struct pipe *pipe, u32 mode, u32 nr)
{
	if (mode & FMODE_READ)
		WRITE_ONCE(pipe->readers, pipe->readers + nr);
	if (mode & FMODE_WRITE)
		WRITE_ONCE(pipe->writers, pipe->writers + nr);
}

/*
 * Wakes the threads at the other end, for which the current thread will mostly wait next. As with Linux's "sync"
 * wake-ups, they stay on its CPU: if all CPUs are busy, a move to another one costs an interrupt each way.
 */
static void wake_other_end(struct wait_queue *end)
{
	current->hands_over = true;
	wake_up_all(end);
	current->hands_over = false;
}

static void wake_both(struct pipe *pipe)
{
	wake_up_all(&pipe->readable);
	wake_up_all(&pipe->writable);
}

static void pipe_release(struct file *file)
{
	struct pipe *pipe = file->private;

	mutex_lock(&pipe->lock);
	count_ends(pipe, file->mode, (u32)-1);
	mutex_unlock(&pipe->lock);
	wake_both(pipe);
	pipe_detach(file->inode, pipe);
}

/* --- the ring; pipe->lock is held --- */

static u64 used(const struct pipe *pipe)
{
	return READ_ONCE(pipe->head) - READ_ONCE(pipe->tail);
}

/* As on Linux, a partly read page is not free. So a writer never wraps around into the page that is being read. */
static u64 pipe_room(const struct pipe *pipe)
{
	u64 capacity = READ_ONCE(pipe->nr_pages) * PAGE_SIZE;
	u64 in_use = READ_ONCE(pipe->head) - align_down(READ_ONCE(pipe->tail), PAGE_SIZE);

	return in_use < capacity ? capacity - in_use : 0;
}

/* Returns the slot of the page that holds position `pos`. *left is the number of bytes from there to the page's end. */
static u8 **ring_page(struct pipe *pipe, u64 pos, size_t *left)
{
	*left = PAGE_SIZE - (pos & ~PAGE_MASK);
	return &pipe->pages[(pos >> PAGE_SHIFT) % pipe->nr_pages];
}

/* Copies bytes out of the ring. As on Linux, a piece of a page that is not copied completely stays in the pipe. */
static long pipe_take(struct pipe *pipe, struct iov_iter *to)
{
	long done = 0;

	while (to->count && used(pipe)) {
		size_t left;
		u8 *page = *ring_page(pipe, pipe->tail, &left);
		size_t n = min(min((u64)left, used(pipe)), (u64)to->count);

		if (iov_copy_to(to, page + (pipe->tail & ~PAGE_MASK), n) < n)
			return done ? done : -EFAULT;
		WRITE_ONCE(pipe->tail, pipe->tail + n);
		done += (long)n;
	}
	if (!used(pipe)) { /* restart in the first page, which is allocated */
		WRITE_ONCE(pipe->head, 0);
		WRITE_ONCE(pipe->tail, 0);
	}
	return done;
}

/* Allocates the page if there is none. Returns false if there is no memory. */
static bool pipe_fill(struct pipe *pipe, u8 **page)
{
	if (*page)
		return true;
	*page = kmalloc(PAGE_SIZE, ALLOC_WAIT);
	if (*page)
		WRITE_ONCE(pipe->nr_filled, pipe->nr_filled + 1);
	return *page;
}

/*
 * Copies up to n bytes into the ring, which has room for them. Leaves out a piece of a page that is not copied
 * completely.
 */
static long pipe_put(struct pipe *pipe, struct iov_iter *from, size_t n)
{
	u64 head = pipe->head;
	size_t done = 0;

	while (done < n) {
		size_t left;
		u8 **page = ring_page(pipe, head, &left);

		if (!pipe_fill(pipe, page))
			break;
		size_t part = min(left, n - done);
		if (iov_copy_from(from, *page + (head & ~PAGE_MASK), part) < part) {
			WRITE_ONCE(pipe->head, head);
			return done ? (long)done : -EFAULT;
		}
		done += part;
		head += part;
	}
	WRITE_ONCE(pipe->head, head);
	return done ? (long)done : -ENOMEM;
}

/* --- reading and writing --- */

static long pipe_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct pipe *pipe = file->private;
	long ret = 0;

	(void)pos;
	if (!to->count)
		return 0;
	mutex_lock(&pipe->lock);
	while (!used(pipe) && pipe->writers && !ret) {
		mutex_unlock(&pipe->lock);
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(&pipe->readable, used(pipe) || !READ_ONCE(pipe->writers));
		mutex_lock(&pipe->lock);
	}
	if (used(pipe)) {
		ret = pipe_take(pipe, to);
		wake_other_end(&pipe->writable);
	} else if (ret) {
		ret = -ERESTARTSYS;
	}
	mutex_unlock(&pipe->lock);
	return ret;
}

static long broken_pipe(void)
{
	struct siginfo info = signal_from_caller(SIGPIPE, SI_USER);

	signal_task(current, &info);
	return -EPIPE;
}

/* => pipe->lock held, let go while it sleeps. Waits until `n` bytes fit. Returns 0, -EPIPE, -EAGAIN or -ERESTARTSYS. */
static long wait_for_room(struct pipe *pipe, bool nonblock, size_t n)
{
	assert_mutex_held(&pipe->lock);
	for (;;) {
		if (!pipe->readers)
			return broken_pipe();
		if (pipe_room(pipe) >= n)
			return 0;
		if (nonblock)
			return -EAGAIN;
		mutex_unlock(&pipe->lock);
		long ret = wait_event_interruptible(&pipe->writable, pipe_room(pipe) >= n || !READ_ONCE(pipe->readers));
		mutex_lock(&pipe->lock);
		if (ret && pipe_room(pipe) < n)
			return -ERESTARTSYS;
	}
}

static long pipe_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct pipe *pipe = file->private;
	bool nonblock = file->flags & O_NONBLOCK;
	size_t atomic = from->count <= PIPE_BUF ? from->count : 1;
	long done = 0, ret = 0;

	(void)pos;
	if (!from->count)
		return 0;
	mutex_lock(&pipe->lock);
	while (from->count) {
		ret = wait_for_room(pipe, nonblock, min(atomic, from->count));
		if (ret)
			break;
		size_t n = min((u64)from->count, pipe_room(pipe));
		ret = pipe_put(pipe, from, n);
		if (ret < 0)
			break;
		done += ret;
		wake_other_end(&pipe->readable);
		if (ret < (long)n)
			break; /* a fault: the iterator has moved past part of the piece that failed */
	}
	mutex_unlock(&pipe->lock);
	return done ? done : ret;
}

static u32 pipe_poll(struct file *file, struct poll_table *table)
{
	struct pipe *pipe = file->private;
	u32 events = 0;

	/* Unlocked: every change wakes the queue, which the caller has joined by then. */
	if (file->mode & FMODE_READ) {
		poll_wait(table, &pipe->readable);
		if (used(pipe))
			events |= POLLIN | POLLRDNORM;
		if (!READ_ONCE(pipe->writers) && READ_ONCE(pipe->writer_opens))
			events |= POLLHUP;
	}
	if (file->mode & FMODE_WRITE) {
		poll_wait(table, &pipe->writable);
		if (pipe_room(pipe) >= PIPE_BUF)
			events |= POLLOUT | POLLWRNORM;
		if (!READ_ONCE(pipe->readers))
			events |= POLLERR;
	}
	return events;
}

static long pipe_ioctl(struct file *file, u32 cmd, u64 arg)
{
	struct pipe *pipe = file->private;
	s32 nr;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&pipe->lock);
	nr = (s32)used(pipe);
	mutex_unlock(&pipe->lock);
	return put_user(nr, arg);
}

/* Returns the file's share of the pipe's pages; all files of a pipe have the same share. */
static u64 pipe_kept_pages(const struct file *file)
{
	const struct pipe *pipe = file->private;

	return pipe ? READ_ONCE(pipe->nr_filled) / max(READ_ONCE(pipe->users), 1u) : 0;
}

/* --- opening --- */

/* Returns the count of opens of the other end. */
static u32 *other_opens(struct file *file, struct pipe *pipe)
{
	return file->mode & FMODE_READ ? &pipe->writer_opens : &pipe->reader_opens;
}

/* => pipe->lock held. */
static bool other_end_is_open(struct file *file, struct pipe *pipe)
{
	assert_mutex_held(&pipe->lock);
	return file->mode & FMODE_READ ? pipe->writers : pipe->readers;
}

/*
 * Waits until the other end has been opened since its count of opens was `before`; it may be closed again by then. If
 * interrupted, releases this end.
 */
static int wait_for_other_end(struct file *file, struct pipe *pipe, u32 before)
{
	u32 *opens = other_opens(file, pipe);

	if (!wait_event_interruptible(&pipe->readable, READ_ONCE(*opens) != before))
		return 0;
	pipe_release(file);
	return -ERESTARTSYS;
}

static int fifo_open(struct file *file)
{
	bool both = (file->mode & (FMODE_READ | FMODE_WRITE)) == (FMODE_READ | FMODE_WRITE);
	bool nonblock = file->flags & O_NONBLOCK, writes = file->mode & FMODE_WRITE;
	struct pipe *pipe;

	if (!(file->mode & (FMODE_READ | FMODE_WRITE)))
		return -EINVAL; /* O_ACCMODE */
	pipe = pipe_attach(file->inode);
	if (!pipe)
		return -ENOMEM;
	file->private = pipe;
	mutex_lock(&pipe->lock);
	u32 before = *other_opens(file, pipe);
	bool refused = nonblock && writes && !both && !pipe->readers;
	bool met = other_end_is_open(file, pipe); /* it may wait for this end, and be closed before we check again */
	if (!refused) {
		count_ends(pipe, file->mode, 1);
		WRITE_ONCE(pipe->reader_opens, pipe->reader_opens + !!(file->mode & FMODE_READ));
		WRITE_ONCE(pipe->writer_opens, pipe->writer_opens + writes);
	}
	mutex_unlock(&pipe->lock);
	if (refused) {
		pipe_detach(file->inode, pipe);
		return -ENXIO;
	}
	wake_both(pipe);
	return both || nonblock || met ? 0 : wait_for_other_end(file, pipe, before);
}

const struct file_ops fifo_ops = {
	.open = fifo_open,
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.kept_pages = pipe_kept_pages,
	.release = pipe_release,
};

/* Opens one end of a new pipe. The caller keeps its reference to the inode. */
static struct file *open_end(struct inode *inode, u32 flags)
{
	struct file *file;
	char name[32];

	ksnprintf(name, sizeof(name), "pipe:[%lu]", inode->ino);
	inode_get(inode);
	file = file_open_anon(inode, name, &fifo_ops, flags);
	if (is_err(file))
		return NULL;
	file->private = pipe_attach(inode);
	if (!file->private) {
		file->ops = &regular_file_ops; /* has no release() */
		file_put(file);
		return NULL;
	}
	struct pipe *pipe = file->private;
	count_ends(pipe, file->mode, 1); /* only this thread knows the pipe */
	pipe->writer_opens = 1;
	return file;
}

int pipe_create(u32 flags, struct file **read_end, struct file **write_end)
{
	struct inode *inode = inode_alloc(&anon_super, S_IFIFO | 0600, NULL, &fifo_ops);

	if (!inode)
		return -ENOMEM;
	*read_end = open_end(inode, O_RDONLY | flags);
	*write_end = *read_end ? open_end(inode, O_WRONLY | flags) : NULL;
	inode_put(inode);
	if (*write_end)
		return 0;
	if (*read_end)
		file_put(*read_end);
	return -ENOMEM;
}

/* Installs both ends and stores their descriptors in user memory, or does neither. Takes over both references. */
static long install_ends(struct file *read_end, struct file *write_end, u32 flags, u64 user_fds)
{
	int fds[2] = { fd_reserve(0, flags), -1 };
	long ret;

	if (fds[0] >= 0)
		fds[1] = fd_reserve(0, flags);
	ret = fds[0] < 0 ? fds[0] : min(fds[1], 0);
	if (!ret && copy_to_user(user_fds, fds, sizeof(fds)))
		ret = -EFAULT;
	if (!ret) {
		fd_install(fds[0], read_end);
		fd_install(fds[1], write_end);
		return 0;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			fd_unreserve(fds[i]);
	}
	file_put(read_end);
	file_put(write_end);
	return ret;
}

static long do_pipe(u64 user_fds, u32 flags)
{
	struct file *read_end, *write_end;
	int ret;

	if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	ret = pipe_create(flags & (O_NONBLOCK | O_DIRECT), &read_end, &write_end);
	return ret ? ret : install_ends(read_end, write_end, flags, user_fds);
}

SYSCALL(pipe)
{
	return do_pipe(a0, 0);
}

SYSCALL(pipe2)
{
	return do_pipe(a0, (u32)a1);
}

/* --- F_GETPIPE_SZ, F_SETPIPE_SZ --- */

long pipe_get_size(struct file *file)
{
	struct pipe *pipe = file->private;

	assert_may_sleep();
	return file->ops == &fifo_ops ? (long)(READ_ONCE(pipe->nr_pages) * PAGE_SIZE) : -EBADF;
}

/* => pipe->lock held. Moves the contents of the ring to the front of the new array of pages. */
static long resize_locked(struct pipe *pipe, u8 **pages, u32 nr_pages)
{
	u64 first = pipe->tail >> PAGE_SHIFT, nr_used = used(pipe) ? ((pipe->head - 1) >> PAGE_SHIFT) - first + 1 : 0;

	assert_mutex_held(&pipe->lock);
	if (nr_used > nr_pages)
		return -EBUSY;
	for (u32 i = 0; i < pipe->nr_pages; i++) {
		u8 *page = pipe->pages[(first + i) % pipe->nr_pages];

		if (i < nr_pages) {
			pages[i] = page;
			continue;
		}
		WRITE_ONCE(pipe->nr_filled, pipe->nr_filled - (page != NULL));
		kfree(page);
	}
	u64 base = first << PAGE_SHIFT;
	WRITE_ONCE(pipe->head, pipe->head - base);
	WRITE_ONCE(pipe->tail, pipe->tail - base);
	kfree(pipe->pages);
	pipe->pages = pages;
	WRITE_ONCE(pipe->nr_pages, nr_pages);
	return (long)(nr_pages * PAGE_SIZE);
}

long pipe_set_size(struct file *file, u64 size)
{
	struct pipe *pipe = file->private;
	u32 nr_pages = 1;
	u8 **pages;
	long ret;

	if (file->ops != &fifo_ops)
		return -EBADF;
	if (size > MAX_PAGES * PAGE_SIZE)
		return size > 1UL << 31 ? -EINVAL : -EPERM;
	while (nr_pages * PAGE_SIZE < size)
		nr_pages *= 2;
	pages = kmalloc(nr_pages * sizeof(pages[0]), ALLOC_ZERO | ALLOC_WAIT);
	if (!pages)
		return -ENOMEM;
	mutex_lock(&pipe->lock);
	ret = resize_locked(pipe, pages, nr_pages);
	mutex_unlock(&pipe->lock);
	if (ret < 0)
		kfree(pages);
	wake_up_all(&pipe->writable);
	return ret;
}
