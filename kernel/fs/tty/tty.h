/* SPDX-License-Identifier: MIT */
/*
 * The terminal: what stands between the programs and the line when standard input and output of the machine are a
 * terminal. tty.c has its files, tty_settings.c its settings, tty_input.c and tty_output.c the line discipline (Linux: n_tty.c),
 * tty_jobs.c sessions and the foreground (Linux: tty_jobctrl.c).
 *
 * Locks: tty->lock for input, output and settings; process_tree_lock for whose terminal it is. Never both.
 */
#ifndef KERNEL_FS_TTY_H
#define KERNEL_FS_TTY_H

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
#define CBAUD 0x100fu  /* the speed, by its place in a table */
#define BOTHER 0x1000u /* ... or the one that is written beside */
#define IBSHIFT 16     /* the speed of input, if it is another */
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

/* Bytes typed and not yet read. The three positions only grow; byte n is at n % TTY_INPUT_SIZE. */
struct tty_input {
	u32 head;	/* behind the newest byte */
	u32 lines_head; /* behind the newest complete line; bytes from here on can still be edited */
	u32 tail;	/* the next to be read */
	u8 ring[TTY_INPUT_SIZE];
	u64 ends[TTY_INPUT_SIZE / 64]; /* bits: this byte ends a line; an end of file is a NUL that does */
};

struct tty {
	struct mutex lock; /* RANK_INODE; the next fields */
	struct termios termios;
	struct winsize winsize;
	struct tty_input input;
	u32 column;	   /* where the cursor is */
	u32 line_column;   /* ... and where the line that is being typed begins */
	bool literal_next; /* the next byte means itself (VLNEXT) */
	bool stopped;	   /* by VSTOP: output waits; read without the lock by who then waits in `writers` */

	struct wait_queue readers, writers; /* locks of their own */

	/* process_tree_lock */
	s32 session;	/* whose controlling terminal it is; 0: nobody's */
	s32 pgrp;	/* the group in the foreground; 0: none */
	u32 generation; /* grows with every hang-up: files opened before are dead. Read by READ_ONCE, may be stale */
};

extern struct tty console_tty;
extern const struct file_ops tty_ops;

/* ---- From the line: tty.c ---------------------------------------------------------------------------------------- */
/*
 * A byte was typed. Sleeps: raw input waits until there is room (or the console's thread is to end). Takes tty->lock and
 * process_tree_lock.
 */
void tty_receive(struct tty *tty, u8 byte);
/* The window has changed; tells the foreground by SIGWINCH. Likewise. (tty_settings.c) */
void tty_resize(struct tty *tty, u16 rows, u16 cols);

/*
 * There is no room for another byte that could still be read. A look of the console's thread, without the lock: nobody else adds
 * bytes, so room that it sees is still there when it adds one. (tty_input.c)
 */
bool tty_input_full(const struct tty *tty);

/* ---- The line discipline. => tty->lock held. --------------------------------------------------------------------- */
/* Takes one byte in: edits, echoes, wakes readers. Returns the signal that it means for the foreground, or 0. */
int tty_input_byte(struct tty *tty, u8 byte);
/* Forgets what was typed. */
void tty_input_flush(struct tty *tty);
/* Bytes that a read could return now: of complete lines, or of all. */
u32 tty_input_ready(const struct tty *tty);
/* Takes what one read may have: up to one line, or all there is. Bytes (0: end of file), or -EFAULT. May fault. */
long tty_input_take(struct tty *tty, struct iov_iter *to);
/* The settings have changed between lines and bytes. */
void tty_input_mode_changed(struct tty *tty);
/* A reader should look again. */
bool tty_input_readable(const struct tty *tty);

/* Writes with the translations of oflag. */
void tty_output(struct tty *tty, enum debugcon_port port, const char *text, size_t n);
/* Shows a typed byte as the settings want it. */
void tty_echo(struct tty *tty, u8 byte);

/* ---- Settings ---------------------------------------------------------------------------------------------------- */
static inline bool tty_local(const struct tty *tty, u32 flag)
{
	return tty->termios.lflag & flag;
}

/* The requests of ioctl(2) about settings and queues; -ENOIOCTLCMD for any other. Takes tty->lock; sleeps. (tty_settings.c) */
#define ENOIOCTLCMD 515
long tty_settings_ioctl(struct tty *tty, u32 cmd, u64 arg);

/* ---- Sessions and the foreground. Take process_tree_lock --------------------------------------------------------- */
/*
 * May the current process read (SIGTTIN) or change the terminal (SIGTTOU)? 0; or, of a background process, the signal goes
 * to its group and the answer is -ERESTARTSYS; -EIO for who could not be stopped.
 */
int tty_check_foreground(struct tty *tty, int sig);
/* A session leader without a terminal has opened one that is nobody's: it gets it. */
void tty_adopt(struct tty *tty);
/* The job control requests of ioctl(2); -ENOIOCTLCMD for any other. */
long tty_jobs_ioctl(struct tty *tty, u32 cmd, u64 arg);
/* A session leader is gone: its terminal is hung up and nobody's. => process_tree_lock held. */
void tty_session_ends(struct process *leader);
/* The group in the foreground of a process's terminal, or -1, for /proc. */
s32 tty_foreground(struct process *process);
/* sig to the group in the foreground. */
void tty_signal_foreground(struct tty *tty, int sig);

#endif
