/* SPDX-License-Identifier: MIT */
/*
 * The console as three plain byte streams. Standard output and standard error each go to a debug port, standard input
 * comes from the serial line; bytes pass through unchanged. /dev/console, for messages of init, writes to standard
 * error.
 *
 * Locks: one mutex (RANK_INODE) for the input and one for each output, so that the bytes of one write (up to CHUNK)
 * stay together. User memory is copied before an output's mutex is taken, so a writer that faults does not block the
 * others.
 */
#include "kernel/fs/stream.h"
#include "drivers/debugcon.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/poll.h"
#include "kernel/lib/errno.h"
#include "kernel/sched/kthread.h"
#include "kernel/signal/signal.h"
#include "kernel/sync/mutex.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define FIONREAD 0x541bu
#define INPUT_SIZE 4096u
#define CHUNK 4096u

static struct {
	struct mutex lock; /* the rest */
	u8 ring[INPUT_SIZE];
	u32 head, tail; /* bytes ever added and removed; read without the lock to decide whether to wait in `changed` */
	bool eof;	/* the input ends after the bytes in the ring; likewise */
	struct wait_queue changed; /* has a lock of its own */
} input = { .lock = MUTEX_INIT(input.lock, INODE), .changed = WAIT_QUEUE_INIT(input.changed) };

static struct mutex stdout_lock = MUTEX_INIT(stdout_lock, INODE);
static struct mutex stderr_lock = MUTEX_INIT(stderr_lock, INODE);

/* --- input --- */

/* Only the console's thread calls this, so room in the ring does not vanish. */
void stream_receive(u8 byte)
{
	wait_event(&input.changed, input.head - READ_ONCE(input.tail) < INPUT_SIZE || kthread_should_stop());
	if (kthread_should_stop())
		return;
	mutex_lock(&input.lock);
	input.ring[input.head % INPUT_SIZE] = byte;
	WRITE_ONCE(input.head, input.head + 1);
	mutex_unlock(&input.lock);
	wake_up_all(&input.changed);
}

void stream_end(void)
{
	mutex_lock(&input.lock);
	WRITE_ONCE(input.eof, true);
	mutex_unlock(&input.lock);
	wake_up_all(&input.changed);
}

/* => input.lock held. Returns the number of bytes, or -EFAULT. */
static long take_input(struct iov_iter *to)
{
	u32 nr = (u32)min((u64)(input.head - input.tail), (u64)to->count);
	long done = 0;

	assert_mutex_held(&input.lock);
	while (nr) {
		u32 offset = input.tail % INPUT_SIZE, part = min(nr, INPUT_SIZE - offset);
		size_t moved = iov_copy_to(to, input.ring + offset, part);

		WRITE_ONCE(input.tail, input.tail + (u32)moved);
		done += (long)moved;
		nr -= part;
		if (moved < part)
			return done ? done : -EFAULT;
	}
	return done;
}

static bool readable(void)
{
	return READ_ONCE(input.head) != READ_ONCE(input.tail) || READ_ONCE(input.eof);
}

static long stream_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	long ret = 0;

	(void)pos;
	while (to->count) {
		if (!(file->flags & O_NONBLOCK) && wait_event_interruptible(&input.changed, readable()))
			return -ERESTARTSYS;
		mutex_lock(&input.lock);
		ret = take_input(to);
		bool eof = input.eof;
		mutex_unlock(&input.lock);
		if (ret || eof)
			break;
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
	}
	wake_up_all(&input.changed);
	return ret;
}

/* --- output --- */

static void stream_put(struct file *file, const char *text, size_t n)
{
	bool err = file->inode->rdev == DEV_STDERR || file->inode->rdev == DEV_CONSOLE;
	struct mutex *lock = err ? &stderr_lock : &stdout_lock;

	mutex_lock(lock);
	debugcon_write_lines(err ? DEBUGCON_STDERR : DEBUGCON_STDOUT, text, n);
	mutex_unlock(lock);
}

static long write_through(struct file *file, struct iov_iter *from, char *buf, size_t size)
{
	long done = 0;

	while (from->count) {
		size_t n = min(from->count, size), moved = iov_copy_from(from, buf, n);

		stream_put(file, buf, moved);
		done += (long)moved;
		if (moved < n)
			return done ? done : -EFAULT;
		cond_resched();
		if (from->count && thread_killed())
			break;
	}
	return done;
}

static long stream_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	char small[256];
	char *large = from->count > sizeof(small) ? kmalloc(CHUNK, ALLOC_WAIT) : NULL;
	long ret;

	(void)pos;
	ret = large ? write_through(file, from, large, CHUNK) : write_through(file, from, small, sizeof(small));
	kfree(large);
	return ret;
}

/* --- the rest --- */

static u32 stream_poll(struct file *file, struct poll_table *table)
{
	u32 events = file->mode & FMODE_WRITE ? POLLOUT | POLLWRNORM : 0;

	poll_wait(table, &input.changed);
	return readable() ? events | POLLIN | POLLRDNORM : events;
}

static long stream_ioctl(struct file *file, u32 cmd, u64 arg)
{
	(void)file;
	if (cmd != FIONREAD)
		return -ENOTTY;
	return put_user((s32)(READ_ONCE(input.head) - READ_ONCE(input.tail)), arg);
}

/* No process has a controlling terminal. */
static int stream_open(struct file *file)
{
	return file->inode->rdev == DEV_TTY ? -ENXIO : 0;
}

const struct file_ops stream_ops = {
	.open = stream_open,
	.read = stream_read,
	.write = stream_write,
	.poll = stream_poll,
	.ioctl = stream_ioctl,
};
