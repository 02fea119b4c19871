/* SPDX-License-Identifier: MIT */
/*
 * The terminal's settings: those of the line discipline (termios), and the size of its window. Speeds and the bits of
 * the line have no effect; they are stored and read back, as for a pseudo-terminal of Linux (tty_ioctl.c,
 * tty_baudrate.c).
 *
 * Locks: tty->lock; user memory is read and written without it.
 */
#include "kernel/linux/tty/tty.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/signal/signal.h"
#include "kernel/uaccess.h"

#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TCSBRK 0x5409u
#define TCXONC 0x540au
#define TCFLSH 0x540bu
#define TIOCOUTQ 0x5411u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD 0x541bu
#define TIOCGETD 0x5424u
#define TCSBRKP 0x5425u
#define TCGETS2 0x802c542au
#define TCSETS2 0x402c542bu
#define TCSETSW2 0x402c542cu
#define TCSETSF2 0x402c542du

#define TCOOFF 0
#define TCOON 1
#define TCIFLUSH 0
#define TCIOFLUSH 2
#define OLD_TERMIOS offsetof(struct termios, ispeed) /* bytes: the struct of requests without a 2 has no speeds */

/* --- termios --- */

/* Returns the bits per second for the index in CBAUD (or CIBAUD, shifted); `other` is the speed for BOTHER. */
static u32 speed_of(u32 code, u32 other)
{
	static const u32 speeds[] = { 0,       50,	75,	 110,	  134,	   150,	    200,    300,
				      600,     1200,	1800,	 2400,	  4800,	   9600,    19200,  38400,
				      57600,   115200,	230400,	 460800,  500000,  576000,  921600, 1000000,
				      1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000 };

	if (code == BOTHER)
		return other;
	if (code & BOTHER)
		code = (code & ~BOTHER) + B38400;
	return code < ARRAY_SIZE(speeds) ? speeds[code] : 0;
}

/* Sets the speeds that cflag selects; those given in ispeed and ospeed count only where it says BOTHER. */
static void settle_speeds(struct termios *termios)
{
	u32 in = termios->cflag >> IBSHIFT & CBAUD;

	termios->ospeed = speed_of(termios->cflag & CBAUD, termios->ospeed);
	termios->ispeed = in ? speed_of(in, termios->ispeed) : termios->ospeed;
}

/* Copies the first `size` bytes of the settings from the user. */
static long set_termios(struct tty *tty, u64 arg, size_t size, bool flush)
{
	struct termios new, old;

	mutex_lock(&tty->lock);
	new = tty->termios;
	mutex_unlock(&tty->lock);
	if (copy_from_user(&new, arg, size))
		return -EFAULT;
	settle_speeds(&new);
	mutex_lock(&tty->lock);
	if (flush)
		tty_input_flush(tty);
	old = tty->termios;
	tty->termios = new;
	if ((new.lflag ^ old.lflag) & ICANON)
		tty_input_mode_changed(tty);
	if (!(new.iflag &IXON))
		tty_start(tty);
	mutex_unlock(&tty->lock);
	return 0;
}

static long get_termios(struct tty *tty, u64 arg, size_t size)
{
	struct termios copy;

	mutex_lock(&tty->lock);
	copy = tty->termios;
	mutex_unlock(&tty->lock);
	return copy_to_user(arg, &copy, size) ? -EFAULT : 0;
}

/* --- the window --- */

/* Sets the size of the window. Returns whether it has changed. => tty->lock held. */
static bool settings_set_size(struct tty *tty, const struct winsize *size)
{
	bool changed = tty->winsize.rows != size->rows || tty->winsize.cols != size->cols;

	assert_mutex_held(&tty->lock);
	tty->winsize = *size;
	return changed;
}

void tty_resize(u16 rows, u16 cols)
{
	struct tty *tty = &console_tty;
	struct winsize size = { .rows = rows, .cols = cols };
	bool changed;

	mutex_lock(&tty->lock);
	changed = settings_set_size(tty, &size);
	mutex_unlock(&tty->lock);
	if (changed)
		tty_signal_foreground(tty, SIGWINCH);
}

static long get_winsize(struct tty *tty, u64 arg)
{
	struct winsize copy;

	mutex_lock(&tty->lock);
	copy = tty->winsize;
	mutex_unlock(&tty->lock);
	return put_user(copy, arg);
}

static long set_winsize(struct tty *tty, u64 arg)
{
	struct winsize new;
	bool changed;

	if (copy_from_user(&new, arg, sizeof(new)))
		return -EFAULT;
	mutex_lock(&tty->lock);
	changed = settings_set_size(tty, &new);
	mutex_unlock(&tty->lock);
	if (changed)
		tty_signal_foreground(tty, SIGWINCH);
	return 0;
}

static long flush_queues(struct tty *tty, u64 which)
{
	if (which > TCIOFLUSH)
		return -EINVAL;
	mutex_lock(&tty->lock);
	if (which == TCIFLUSH || which == TCIOFLUSH)
		tty_input_flush(tty);
	mutex_unlock(&tty->lock);
	return 0;
}

/* Output is never queued, so of all actions only stopping and starting output have an effect. */
static long flow(struct tty *tty, u64 action)
{
	if (action > 3)
		return -EINVAL;
	mutex_lock(&tty->lock);
	if (action == TCOOFF) {
		tty->tco_stopped = true;
		WRITE_ONCE(tty->stopped, true);
	} else if (action == TCOON && tty->tco_stopped) {
		tty->tco_stopped = false;
		tty_start(tty);
	}
	mutex_unlock(&tty->lock);
	return 0;
}

static long nr_readable(struct tty *tty, u64 arg)
{
	s32 nr;

	mutex_lock(&tty->lock);
	nr = (s32)tty_input_ready(tty);
	mutex_unlock(&tty->lock);
	return put_user(nr, arg);
}

/* Handles the requests that change the terminal. A background process gets SIGTTOU. */
static long settings_change(struct tty *tty, u32 cmd, u64 arg)
{
	int error = tty_check_foreground(tty, SIGTTOU);

	if (error)
		return error;
	switch (cmd) {
	case TCFLSH:
		return flush_queues(tty, arg);
	case TCXONC:
		return flow(tty, arg);
	case TCSBRK:
	case TCSBRKP:
		return 0;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return set_termios(tty, arg, OLD_TERMIOS, cmd == TCSETSF);
	default:
		return set_termios(tty, arg, sizeof(struct termios), cmd == TCSETSF2);
	}
}

long tty_settings_ioctl(struct tty *tty, u32 cmd, u64 arg)
{
	switch (cmd) {
	case TCGETS:
		return get_termios(tty, arg, OLD_TERMIOS);
	case TCGETS2:
		return get_termios(tty, arg, sizeof(struct termios));
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
	case TCFLSH:
	case TCXONC:
	case TCSBRK:
	case TCSBRKP:
		return settings_change(tty, cmd, arg);
	case TIOCGWINSZ:
		return get_winsize(tty, arg);
	case TIOCSWINSZ:
		return set_winsize(tty, arg);
	case FIONREAD:
		return nr_readable(tty, arg);
	case TIOCOUTQ:
	case TIOCGETD:
		return put_user((s32)0, arg);
	default:
		return -ENOIOCTLCMD;
	}
}
