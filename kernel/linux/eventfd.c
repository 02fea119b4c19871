/* SPDX-License-Identifier: MIT */
/*
 * eventfd(2): a 64-bit counter that threads can wait for. Its spinlock has RANK_INODE; user memory is copied before it
 * is taken or after it is released.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/super.h"
#include "kernel/fs/text.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall.h"
#include "mm/page/slab.h"

#define EFD_SEMAPHORE 1u
#define EVENTFD_MAX (~0UL - 1)

struct eventfd {
	bool semaphore; /* constant; a read takes 1 instead of the whole count */
	spinlock_t lock;
	u64 count;		 /* lock; poll() and fdinfo read it without */
	struct wait_queue queue; /* own lock */
};

/* Takes what one read returns. Returns false if the count is 0. */
static bool eventfd_take(struct eventfd *e, u64 *value)
{
	spin_lock(&e->lock);
	*value = e->semaphore && e->count ? 1 : e->count;
	WRITE_ONCE(e->count, e->count - *value);
	spin_unlock(&e->lock);
	return *value != 0;
}

static bool eventfd_add(struct eventfd *e, u64 value)
{
	spin_lock(&e->lock);
	bool fits = value <= EVENTFD_MAX - e->count;
	if (fits)
		WRITE_ONCE(e->count, e->count + value);
	spin_unlock(&e->lock);
	return fits;
}

static long eventfd_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct eventfd *e = file->private;
	u64 value;

	(void)pos;
	if (to->count < sizeof(value))
		return -EINVAL;
	if (!eventfd_take(e, &value)) {
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(&e->queue, eventfd_take(e, &value)))
			return -ERESTARTSYS;
	}
	wake_up_all(&e->queue);
	return iov_copy_to(to, &value, sizeof(value)) == sizeof(value) ? (long)sizeof(value) : -EFAULT;
}

static long eventfd_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct eventfd *e = file->private;
	u64 value;

	(void)pos;
	if (from->count < sizeof(value))
		return -EINVAL;
	if (iov_copy_from(from, &value, sizeof(value)) < sizeof(value))
		return -EFAULT;
	if (value == ~0UL)
		return -EINVAL;
	if (!eventfd_add(e, value)) {
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(&e->queue, eventfd_add(e, value)))
			return -ERESTARTSYS;
	}
	wake_up_all(&e->queue);
	return sizeof(value);
}

static u32 eventfd_poll(struct file *file, struct poll_table *table)
{
	struct eventfd *e = file->private;

	poll_wait(table, &e->queue);
	u64 count = READ_ONCE(e->count); /* every change wakes the queue, which the caller has joined */
	return (count ? POLLIN | POLLRDNORM : 0) | (count < EVENTFD_MAX ? POLLOUT | POLLWRNORM : 0);
}

static void eventfd_release(struct file *file)
{
	kfree(file->private);
}

static s64 eventfd_seek(struct file *file, s64 offset, int whence)
{
	(void)file, (void)offset, (void)whence;
	return 0; /* as on Linux */
}

static void eventfd_show_info(struct file *file, struct text *text)
{
	struct eventfd *e = file->private;

	text_printf(text, "eventfd-count: %16lx\n", READ_ONCE(e->count));
}

static const struct file_ops eventfd_ops = {
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.llseek = eventfd_seek,
	.show_info = eventfd_show_info,
	.release = eventfd_release,
};

static struct file *eventfd_open(u64 count, u32 flags)
{
	struct inode *inode = inode_alloc(&anon_super, 0600, NULL, NULL); /* cannot be opened by path */
	struct eventfd *e;
	struct file *file;

	if (!inode)
		return err_ptr(-ENOMEM);
	file = file_open_anon(inode, "anon_inode:[eventfd]", &eventfd_ops, O_RDWR | (flags & O_NONBLOCK));
	if (is_err(file))
		return file;
	e = kmalloc(sizeof(*e), ALLOC_ZERO | ALLOC_WAIT);
	file->private = e;
	if (!e) {
		file_put(file);
		return err_ptr(-ENOMEM);
	}
	spin_init(&e->lock, RANK_INODE);
	wait_queue_init(&e->queue);
	e->count = count;
	e->semaphore = flags & EFD_SEMAPHORE;
	return file;
}

SYSCALL(eventfd2)
{
	u32 flags = (u32)a1;

	if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	return fd_install_new(eventfd_open((u32)a0, flags), flags & O_CLOEXEC);
}

SYSCALL(eventfd)
{
	return fd_install_new(eventfd_open((u32)a0, 0), 0);
}
