/* SPDX-License-Identifier: MIT */
/*
 * The terminal that programs use when standard input and output of the machine are a terminal. tty.c has its file
 * operations, tty_settings.c its settings, tty_input.c and tty_output.c the line discipline (Linux: n_tty.c),
 * tty_jobs.c sessions and the foreground (Linux: tty_jobctrl.c).
 *
 * Locks: tty->lock for input, output and settings; process_tree_lock for the session that it controls, and the
 * foreground. The two are never held together.
 */
#ifndef KERNEL_LINUX_TTY_H
#define KERNEL_LINUX_TTY_H

#include "drivers/debugcon.h"
#include "kernel/fs/file.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/wait.h"

struct process;

#define NR_CONTROL_CHARS 19

struct termios {
	u32 iflag, oflag, cflag, lflag;
	u8 line, cc[NR_CONTROL_CHARS];
	u32 ispeed, ospeed; /* bits per second */
};
_Static_assert(sizeof(struct termios) == 44, "Linux's struct termios2");

struct winsize {
	u16 rows, cols, xpixel, ypixel;
};

enum control_char {
	VINTR,
	VQUIT,
	VERASE,
	VKILL,
	VEOF,
	VTIME, /* tenths of a second */
	VMIN,  /* bytes */
	VSWTC,
	VSTART,
	VSTOP,
	VSUSP,
	VEOL,
	VREPRINT,
	VDISCARD,
	VWERASE,
	VLNEXT,
	VEOL2,
};

/* iflag */
#define ISTRIP 0x20u
#define INLCR 0x40u
#define IGNCR 0x80u
#define ICRNL 0x100u
#define IXON 0x400u
#define IXANY 0x800u
#define IUTF8 0x4000u
/* oflag */
#define OPOST 0x1u
#define ONLCR 0x4u
#define OCRNL 0x8u
#define ONOCR 0x10u
#define ONLRET 0x20u
#define TABDLY 0x1800u
#define XTABS 0x1800u
/* cflag */
#define CBAUD 0x100fu  /* the speed, as an index into a table */
#define BOTHER 0x1000u /* ... or the one in ispeed or ospeed */
#define IBSHIFT 16     /* the speed of input, if it differs, is shifted by this */
#define B38400 0xfu
#define CS8 0x30u
#define CREAD 0x80u
/* lflag */
#define ISIG 0x1u
#define ICANON 0x2u
#define ECHO 0x8u
#define ECHOE 0x10u
#define ECHOK 0x20u
#define ECHONL 0x40u
#define NOFLSH 0x80u
#define TOSTOP 0x100u
#define ECHOCTL 0x200u
#define ECHOKE 0x800u
#define IEXTEN 0x8000u

#define TTY_INPUT_SIZE 4096u

/* Bytes typed and not yet read. The three positions count from the last flush; byte n is at n % TTY_INPUT_SIZE. */
struct tty_input {
	u32 head;	/* after the newest byte */
	u32 lines_head; /* after the newest complete line; bytes from here on can still be edited */
	u32 tail;	/* the next byte to be read */
	u8 ring[TTY_INPUT_SIZE];
	u64 ends[TTY_INPUT_SIZE / 64]; /* bits: the byte ends a line; an end of file is a NUL with this bit */
};

struct tty {
	struct mutex lock; /* RANK_INODE; protects the next fields */
	struct termios termios;
	struct winsize winsize;
	struct tty_input input;
	u32 column;	   /* the column of the cursor */
	u32 line_column;   /* ... and of the beginning of the line that is being typed */
	bool literal_next; /* the next byte is taken literally (VLNEXT) */
	bool stopped;	   /* by VSTOP or TCOOFF; writers read it without the lock, and wait in `writers` */
	bool tco_stopped;  /* by TCOOFF: only TCOON starts output again */

	struct wait_queue readers, writers; /* have their own locks */

	/* process_tree_lock */
	s32 session;	/* the session whose controlling terminal it is; 0: none */
	s32 pgrp;	/* the foreground group; 0: none */
	u32 generation; /* grows with every hang-up: files opened before are dead. READ_ONCE may read an old value */
};

extern struct tty console_tty;

/*
 * Returns whether a typed byte must wait for room, which only happens without ICANON. Called by the console's thread,
 * without the lock: no other thread adds bytes, so room that it sees is still there when it adds one. (tty_input.c)
 */
bool tty_input_full(const struct tty *tty);

/* ---- The line discipline. => tty->lock held. --------------------------------------------------------------------- */
/* Processes a typed byte: edits, echoes, wakes readers. Returns the signal to send to the foreground, or 0. */
int tty_input_byte(struct tty *tty, u8 byte);
/* Discards all input. */
void tty_input_flush(struct tty *tty);
/* Returns the number of bytes that a read could return: those of complete lines (ICANON), or all. */
u32 tty_input_ready(const struct tty *tty);
/*
 * Takes the input of one read: up to one line (ICANON), or all there is. Returns the number of bytes (0: end of file),
 * or -EFAULT. May fault.
 */
long tty_input_take(struct tty *tty, struct iov_iter *to);
/* Called when ICANON has been set or cleared: input typed so far becomes a line, or bytes. */
void tty_input_mode_changed(struct tty *tty);
/* Returns whether poll(2) reports input. */
bool tty_input_readable(const struct tty *tty);

/* Starts output again, unless TCOOFF has stopped it. */
void tty_start(struct tty *tty);
/* Writes text, translated as oflag says. */
void tty_output(struct tty *tty, enum debugcon_port port, const char *text, size_t n);
/* Echoes a typed byte as the settings say. */
void tty_echo(struct tty *tty, u8 byte);

/* ---- Settings ---------------------------------------------------------------------------------------------------- */
static inline bool tty_local(const struct tty *tty, u32 flag)
{
	return tty->termios.lflag & flag;
}

/*
 * Handles the requests of ioctl(2) about settings and queues. Returns -ENOIOCTLCMD for any other. Takes tty->lock;
 * sleeps. (tty_settings.c)
 */
#define ENOIOCTLCMD 515
long tty_settings_ioctl(struct tty *tty, u32 cmd, u64 arg);

/* ---- Sessions and the foreground. Take process_tree_lock --------------------------------------------------------- */
/*
 * Checks whether the current process may read (sig: SIGTTIN) or change the terminal (SIGTTOU). Returns: 0 if so. For a
 * background process, sends the signal to its group and returns -ERESTARTSYS, or returns -EIO if that would not stop
 * it; but 0 if it blocks or ignores SIGTTOU.
 */
int tty_check_foreground(struct tty *tty, int sig);
/*
 * Called when the terminal is opened: makes it the controlling terminal of the current process, if that is a session
 * leader without one and the terminal has no session.
 */
void tty_adopt(struct tty *tty);
/* Handles the job control requests of ioctl(2). Returns -ENOIOCTLCMD for any other. */
long tty_jobs_ioctl(struct tty *tty, u32 cmd, u64 arg);
/* Sends sig to the foreground group. */
void tty_signal_foreground(struct tty *tty, int sig);

#endif
