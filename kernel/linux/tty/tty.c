/* SPDX-License-Identifier: MIT */
/*
 * The file operations of the terminal. ttyS0, ttyS1 and ttyS2 are one terminal; what is written to ttyS2 leaves the
 * machine as standard error. /dev/tty is the controlling terminal of the process that opens it. /dev/console is the
 * same terminal, for init: it is never a controlling terminal, it is never hung up, and no process is stopped for using
 * it.
 *
 * Locks: tty->lock (RANK_INODE); user memory is read before it is taken.
 */
#include "kernel/linux/tty/tty.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/poll.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/sched/kthread.h"
#include "kernel/signal/signal.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/time/timer.h"
#include "kernel/uaccess.h"

#define NS_PER_TENTH (NSEC_PER_SEC / 10)
#define WRITE_CHUNK 256u

struct tty console_tty = {
	.lock = MUTEX_INIT(console_tty.lock, INODE),
	.termios = {
		.iflag = ICRNL | IXON,
		.oflag = OPOST | ONLCR,
		.cflag = B38400 | CS8 | CREAD,
		.ispeed = 38400,
		.ospeed = 38400,
		.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
		.cc = { 3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22 },
	},
	.winsize = { .rows = 24, .cols = 80 },
	.readers = WAIT_QUEUE_INIT(console_tty.readers),
	.writers = WAIT_QUEUE_INIT(console_tty.writers),
};

static bool is_console(const struct file *file)
{
	return file->inode->rdev == DEV_CONSOLE;
}

/* Returns whether the terminal has been hung up since this file was opened. */
static bool is_dead(const struct file *file)
{
	return !is_console(file) && (u64)file->private != READ_ONCE(console_tty.generation);
}

/* --- input from the line --- */

void tty_receive(u8 byte)
{
	struct tty *tty = &console_tty;
	int sig;

	assert_may_sleep();
	wait_event(&tty->readers, !tty_input_full(tty) || kthread_should_stop());
	if (kthread_should_stop())
		return;
	mutex_lock(&tty->lock);
	sig = tty_input_byte(tty, byte);
	mutex_unlock(&tty->lock);
	if (sig)
		tty_signal_foreground(tty, sig);
}

/* --- reading --- */

/* The state of one read; the settings are those that tty_take() found last. */
struct tty_reading {
	struct file *file;
	struct iov_iter *to;
	u64 start; /* ns */
	long done; /* bytes */
	bool lines;
	long min;  /* bytes: VMIN */
	u64 quiet; /* ns: VTIME */
};

/*
 * Takes the available input, once. Returns the number of bytes (0: an end of file), -EAGAIN if there is none, or
 * -EFAULT.
 */
static long tty_take(struct tty *tty, struct tty_reading *reading)
{
	long ret = -EAGAIN;

	mutex_lock(&tty->lock);
	if (tty_input_ready(tty))
		ret = tty_input_take(tty, reading->to);
	reading->lines = tty_local(tty, ICANON);
	reading->min = tty->termios.cc[VMIN];
	reading->quiet = tty->termios.cc[VTIME] * NS_PER_TENTH;
	mutex_unlock(&tty->lock);
	if (ret > 0)
		reading->done += ret;
	return ret;
}

/*
 * Returns whether the read is complete: in line mode after one line, else after VMIN bytes, or with VTIME alone after
 * any.
 */
static bool is_enough(const struct tty_reading *reading, long taken)
{
	if (reading->lines)
		return taken >= 0;
	return !reading->to->count || reading->done >= (reading->quiet ? max(reading->min, 1L) : reading->min);
}

/* VTIME counts from the last byte, or, if VMIN is 0, from the start of the read. */
static u64 tty_deadline_of(const struct tty_reading *reading)
{
	if (reading->lines || !reading->quiet)
		return TIME_NEVER;
	if (!reading->min)
		return reading->start + reading->quiet;
	return reading->done ? ktime_ns() + reading->quiet : TIME_NEVER;
}

/* Returns 1 if the read may wait, else its result: 0 for an end of file, or -errno. */
static long reason_to_stop(const struct file *file)
{
	if (is_dead(file))
		return 0;
	if (file->flags & O_NONBLOCK)
		return -EAGAIN;
	return signal_pending() ? -ERESTARTSYS : 1;
}

/*
 * Returns 1 if the read must wait. Otherwise the read ends: its result is the number of bytes read or, if that is 0,
 * the value returned here.
 */
static long read_once(struct tty *tty, struct tty_reading *reading)
{
	long ret = is_console(reading->file) ? 0 : tty_check_foreground(tty, SIGTTIN);

	if (ret)
		return ret;
	ret = tty_take(tty, reading);
	if (ret == -EFAULT || is_enough(reading, ret))
		return min(ret == -EAGAIN ? 0L : ret, 0L);
	return reason_to_stop(reading->file);
}

static long tty_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct tty *tty = &console_tty;
	struct tty_reading reading = { .file = file, .to = to, .start = ktime_ns() };
	struct waiter waiter = WAITER_INIT(waiter, NULL);
	bool in_time = true;
	long ret = 0;

	(void)pos;
	if (is_dead(file) || !to->count)
		return 0;
	for (;;) {
		wait_prepare(&tty->readers, &waiter, SLEEP_INTERRUPTIBLE);
		ret = read_once(tty, &reading);
		if (ret != 1)
			break;
		if (!in_time) {
			ret = 0;
			break;
		}
		in_time = sleep_until(tty_deadline_of(&reading));
	}
	wait_finish(&tty->readers, &waiter);
	return reading.done ? reading.done : ret;
}

/* --- writing --- */

/* Waits until output may begin. Returns 0, -EIO (hung up), -EAGAIN or -ERESTARTSYS. */
static int wait_until_started(struct tty *tty, struct file *file)
{
	if (READ_ONCE(tty->stopped) && !is_dead(file)) {
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(&tty->writers, !READ_ONCE(tty->stopped) || is_dead(file)))
			return -ERESTARTSYS;
	}
	return is_dead(file) ? -EIO : 0;
}

static long tty_write_all(struct tty *tty, struct file *file, struct iov_iter *from)
{
	enum debugcon_port port = file->inode->rdev == DEV_STDERR ? DEBUGCON_STDERR : DEBUGCON_STDOUT;
	char text[WRITE_CHUNK];
	long done = 0;

	while (from->count) {
		int error = wait_until_started(tty, file);
		size_t n = min(from->count, sizeof(text)), moved;

		if (error)
			return done ? done : error;
		moved = iov_copy_from(from, text, n);
		mutex_lock(&tty->lock);
		tty_output(tty, port, text, moved);
		mutex_unlock(&tty->lock);
		done += (long)moved;
		if (moved < n)
			return done ? done : -EFAULT;
		cond_resched();
		if (from->count && signal_pending())
			break;
	}
	return done;
}

static long tty_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct tty *tty = &console_tty;
	int error = 0;

	(void)pos;
	if (is_dead(file))
		return -EIO;
	if (!is_console(file) && tty_local(tty, TOSTOP)) /* a concurrent change may be missed */
		error = tty_check_foreground(tty, SIGTTOU);
	return error ? error : tty_write_all(tty, file, from);
}

/* --- waiting --- */

static u32 tty_poll(struct file *file, struct poll_table *table)
{
	struct tty *tty = &console_tty;
	u32 events = 0;

	poll_wait(table, &tty->readers);
	poll_wait(table, &tty->writers);
	if (is_dead(file))
		return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR;
	mutex_lock(&tty->lock);
	if (tty_input_readable(tty))
		events |= POLLIN | POLLRDNORM;
	if (!tty->stopped && (file->mode & FMODE_WRITE))
		events |= POLLOUT | POLLWRNORM;
	mutex_unlock(&tty->lock);
	return events;
}

static long tty_ioctl(struct file *file, u32 cmd, u64 arg)
{
	long ret;

	if (is_dead(file))
		return -EIO;
	ret = tty_settings_ioctl(&console_tty, cmd, arg);
	if (ret == -ENOIOCTLCMD)
		ret = tty_jobs_ioctl(&console_tty, cmd, arg);
	return ret == -ENOIOCTLCMD ? -ENOTTY : ret;
}

static int tty_open(struct file *file)
{
	if (file->inode->rdev == DEV_TTY && !READ_ONCE(current->process->tty))
		return -ENXIO;
	file->private = (void *)(u64)READ_ONCE(console_tty.generation);
	if (!is_console(file) && !(file->mode & FMODE_NOCTTY))
		tty_adopt(&console_tty);
	return 0;
}

static const struct file_ops tty_ops = {
	.open = tty_open,
	.read = tty_read,
	.write = tty_write,
	.poll = tty_poll,
	.ioctl = tty_ioctl,
};

const struct file_ops *tty_file_ops(void)
{
	return &tty_ops;
}
