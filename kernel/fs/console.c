/* SPDX-License-Identifier: MIT */
/*
 * The console: standard output and standard error go to a debug port each, standard input comes from COM1. In the
 * input stream 0xff 0xff stands for one byte 0xff, and 0xff 0x00 for the end of the input. With `tty` on the command line
 * all of it is a terminal, whose line discipline is the host's own: lines arrive whole, an end of input is not the last.
 *
 * There is no receive interrupt: whoever waits for input looks every POLL_INTERVAL_NS.
 *
 * Locks: one mutex (RANK_INODE) for the input, one for each output, so that the bytes of one write stay together. User
 * memory is copied before an output's mutex is taken: a writer that faults does not stop the others.
 */
#include "kernel/fs/console.h"
#include "drivers/debugcon.h"
#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/poll.h"
#include "kernel/mutex.h"
#include "kernel/signal.h"
#include "kernel/string.h"
#include "kernel/task.h"
#include "kernel/clock.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "kernel/uaccess.h"
#include "mm/slab.h"

#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD 0x541bu

#define INPUT_SIZE 4096u
#define STUFFING 0xff
#define STUFFED_EOF 0x00
#define CHUNK 4096u
#define PUMP_MAX 256u /* bytes taken over at a time, before a reader gets them */
#define PATIENCE 300u /* looks after a byte, of a microsecond or less each */

struct termios {
	u32 iflag, oflag, cflag, lflag;
	u8 line, cc[19];
};
_Static_assert(sizeof(struct termios) == 36, "Linux's struct termios");

struct winsize {
	u16 rows, cols, xpixel, ypixel;
};

static struct {
	struct mutex lock; /* the rest */
	u8 ring[INPUT_SIZE];
	u32 head, tail; /* bytes ever put in and taken out */
	bool escaped;	/* the last byte was a STUFFING that awaits its second half */
	bool eof;	/* after the bytes in the ring the input ends */
} input = { .lock = MUTEX_INIT(input.lock, INODE) };

static struct mutex stdout_lock = MUTEX_INIT(stdout_lock, INODE);
static struct mutex stderr_lock = MUTEX_INIT(stderr_lock, INODE);

static bool is_tty; /* constant after boot */
static struct termios termios = {
	.iflag = 0x500,	 /* ICRNL IXON */
	.oflag = 0x5,	 /* OPOST ONLCR */
	.cflag = 0xbf,	 /* B38400 CS8 CREAD */
	.lflag = 0x8a3b, /* ISIG ICANON ECHO ECHOE ECHOK ECHOCTL ECHOKE IEXTEN */
	.cc = { 3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22 },
};
static struct winsize winsize = { .rows = 24, .cols = 80 };

void console_init(void)
{
	char value[2];

	is_tty = boot_option("tty", value, sizeof(value));
	serial_init();
	klog("FAULTLINE-STDIN ready");
}

/* --- input --- */

/* => input.lock. One received byte, after stuffing. */
static void accept_byte(u8 byte)
{
	if (!input.escaped && byte == STUFFING) {
		input.escaped = true;
		return;
	}
	if (input.escaped && byte == STUFFED_EOF)
		input.eof = true;
	else
		input.ring[input.head++ % INPUT_SIZE] = byte;
	input.escaped = false;
}

/*
 * => input.lock. Takes over what the line has. After each byte it looks a little longer: the sender on the host hands over
 * a byte when the last one is taken, and a sleep between any two would be felt.
 */
static void pump(void)
{
	unsigned patience = 1;

	for (unsigned nr = 0; nr < PUMP_MAX && input.head - input.tail < INPUT_SIZE && !input.eof && patience;) {
		int byte = serial_read();

		if (byte >= 0) {
			accept_byte((u8)byte);
			nr++;
			patience = PATIENCE;
		} else {
			patience--;
			cpu_relax();
		}
	}
}

/* => input.lock. How much one read may take: on a terminal, no more than a line. */
static u32 readable(void)
{
	u32 nr = input.head - input.tail;

	for (u32 i = 0; is_tty && i < nr; i++) {
		if (input.ring[(input.tail + i) % INPUT_SIZE] == '\n')
			return i + 1;
	}
	return nr;
}

/* => input.lock. Bytes, 0 at the end of the input, -EAGAIN when there is nothing yet, or -EFAULT. */
static long take_input(struct iov_iter *to)
{
	u32 nr = readable();
	long done = 0;

	if (!nr && input.eof) {
		input.eof = !is_tty;
		return 0;
	}
	if (!nr)
		return -EAGAIN;
	nr = (u32)min((u64)nr, (u64)to->count);
	while (nr) {
		u32 offset = input.tail % INPUT_SIZE, part = min(nr, INPUT_SIZE - offset);
		size_t moved = iov_copy_to(to, input.ring + offset, part);

		input.tail += (u32)moved;
		done += (long)moved;
		nr -= part;
		if (moved < part)
			return done ? done : -EFAULT;
	}
	return done;
}

static long console_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	(void)pos;
	if (!to->count)
		return 0;
	for (;;) {
		mutex_lock(&input.lock);
		pump();
		long ret = take_input(to);
		mutex_unlock(&input.lock);
		if (ret != -EAGAIN || (file->flags & O_NONBLOCK))
			return ret;
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		if (signal_pending()) {
			thread_cancel_sleep();
			return -ERESTARTSYS;
		}
		sleep_until(ktime_ns() + POLL_INTERVAL_NS);
	}
}

/* --- output --- */

static void put(struct file *file, const char *text, size_t n)
{
	bool err = file->inode->rdev == DEV_STDERR || (file->inode->rdev == DEV_CONSOLE && !is_tty);
	struct mutex *lock = err ? &stderr_lock : &stdout_lock;

	mutex_lock(lock);
	debugcon_write(err ? DEBUGCON_STDERR : DEBUGCON_STDOUT, text, n);
	mutex_unlock(lock);
}

static long write_through(struct file *file, struct iov_iter *from, char *buf, size_t size)
{
	long done = 0;

	while (from->count) {
		size_t n = min(from->count, size), moved = iov_copy_from(from, buf, n);

		put(file, buf, moved);
		done += (long)moved;
		if (moved < n)
			return done ? done : -EFAULT;
		cond_resched();
		if (from->count && thread_killed())
			break;
	}
	return done;
}

static long console_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	char small[256];
	char *large = from->count > sizeof(small) ? kmalloc(CHUNK, 0) : NULL;
	long ret;

	(void)pos;
	ret = large ? write_through(file, from, large, CHUNK) : write_through(file, from, small, sizeof(small));
	kfree(large);
	return ret;
}

/* --- the rest --- */

static u32 console_poll(struct file *file, struct poll_table *table)
{
	u32 events = file->mode & FMODE_WRITE ? POLLOUT | POLLWRNORM : 0;

	mutex_lock(&input.lock);
	pump();
	if (readable() || input.eof)
		events |= POLLIN | POLLRDNORM;
	mutex_unlock(&input.lock);
	if (table)
		table->needs_polling = true;
	return events;
}

static long nr_readable(u64 arg)
{
	mutex_lock(&input.lock);
	pump();
	s32 nr = (s32)readable();
	mutex_unlock(&input.lock);
	return put_user(nr, arg);
}

/* The settings are kept for whoever reads them back; the host's terminal does what it does. */
static long tty_ioctl(u32 cmd, u64 arg)
{
	s32 pgrp;

	switch (cmd) {
	case TCGETS:
		return put_user(termios, arg);
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return copy_from_user(&termios, arg, sizeof(termios)) ? -EFAULT : 0;
	case TIOCGWINSZ:
		return put_user(winsize, arg);
	case TIOCSWINSZ:
		return copy_from_user(&winsize, arg, sizeof(winsize)) ? -EFAULT : 0;
	case TIOCGPGRP:
		pgrp = READ_ONCE(current->process->pgid); /* any value it has had just now is an answer */
		return put_user(pgrp, arg);
	case TIOCSPGRP:
		return get_user(&pgrp, arg);
	}
	return -ENOTTY;
}

static long console_ioctl(struct file *file, u32 cmd, u64 arg)
{
	(void)file;
	if (cmd == FIONREAD)
		return nr_readable(arg);
	return is_tty ? tty_ioctl(cmd, arg) : -ENOTTY;
}

/* /dev/tty is the controlling terminal, when there is one. */
static int console_open(struct file *file)
{
	return file->inode->rdev == DEV_TTY && !is_tty ? -ENXIO : 0;
}

const struct file_ops console_ops = {
	.open = console_open,
	.read = console_read,
	.write = console_write,
	.poll = console_poll,
	.ioctl = console_ioctl,
};
