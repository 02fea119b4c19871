/* SPDX-License-Identifier: MIT */
/*
 * The terminal's input: lines that can be edited until they are complete (ICANON), or single bytes; signals from the
 * keyboard; echo. Mirrors Linux's n_tty.c. Takes no lock: callers hold tty->lock.
 */
#include "kernel/linux/tty/tty.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/signal/signal.h"

#define NO_CHAR 0 /* a control character that is disabled (_POSIX_VDISABLE) */
#define TAB_WIDTH 8u

/* --- the buffer --- */

static u8 *slot(struct tty_input *input, u32 position)
{
	return &input->ring[position % TTY_INPUT_SIZE];
}

static bool ends_line(const struct tty_input *input, u32 position)
{
	u32 n = position % TTY_INPUT_SIZE;

	return input->ends[n / 64] >> (n % 64) & 1;
}

static void mark(struct tty_input *input, u32 position, bool end)
{
	u32 n = position % TTY_INPUT_SIZE;
	u64 bit = 1UL << (n % 64);

	input->ends[n / 64] = end ? input->ends[n / 64] | bit : input->ends[n / 64] & ~bit;
}

static u32 input_room(const struct tty_input *input)
{
	return TTY_INPUT_SIZE - (input->head - input->tail);
}

static void input_put(struct tty_input *input, u8 byte, bool end)
{
	*slot(input, input->head) = byte;
	mark(input, input->head, end);
	input->head++;
}

bool tty_input_full(const struct tty *tty)
{
	return !(READ_ONCE(tty->termios.lflag) & ICANON) &&
	       READ_ONCE(tty->input.head) - READ_ONCE(tty->input.tail) >= TTY_INPUT_SIZE;
}

void tty_input_flush(struct tty *tty)
{
	assert_mutex_held(&tty->lock);
	tty->input.head = tty->input.lines_head = tty->input.tail = 0;
	tty->literal_next = false;
	wake_up_all(&tty->readers); /* the console's thread may be waiting for room */
}

u32 tty_input_ready(const struct tty *tty)
{
	assert_mutex_held(&tty->lock);
	return (tty_local(tty, ICANON) ? tty->input.lines_head : tty->input.head) - tty->input.tail;
}

bool tty_input_readable(const struct tty *tty)
{
	u32 wanted = 1;

	assert_mutex_held(&tty->lock);
	if (!tty_local(tty, ICANON) && !tty->termios.cc[VTIME])
		wanted = max((u32)tty->termios.cc[VMIN], 1U);
	return tty_input_ready(tty) >= wanted;
}

void tty_input_mode_changed(struct tty *tty)
{
	struct tty_input *input = &tty->input;

	assert_mutex_held(&tty->lock);
	memset(input->ends, 0, sizeof(input->ends));
	if (tty_local(tty, ICANON) && input->head != input->tail)
		mark(input, input->head - 1, true); /* the bytes typed so far become a line */
	input->lines_head = tty_local(tty, ICANON) ? input->head : input->tail;
	wake_up_all(&tty->readers);
}

/* Returns how many bytes the next line has, at most `max`. */
static u32 line_length(const struct tty_input *input, u32 max)
{
	for (u32 n = 0; n < max; n++) {
		if (ends_line(input, input->tail + n))
			return n + 1;
	}
	return max;
}

long tty_input_take(struct tty *tty, struct iov_iter *to)
{
	struct tty_input *input = &tty->input;
	u32 left = (u32)min((u64)tty_input_ready(tty), (u64)to->count);
	bool eof = false;
	long done = 0;

	assert_mutex_held(&tty->lock);
	if (tty_local(tty, ICANON) && left) {
		left = line_length(input, left);
		eof = ends_line(input, input->tail + left - 1) && *slot(input, input->tail + left - 1) == NO_CHAR;
		left -= eof;
	}
	while (left) {
		u32 part = min(left, TTY_INPUT_SIZE - input->tail % TTY_INPUT_SIZE);
		size_t moved = iov_copy_to(to, slot(input, input->tail), part);

		input->tail += (u32)moved;
		done += (long)moved;
		left -= part;
		if (moved < part)
			return done ? done : -EFAULT;
	}
	input->tail += eof;
	/*
	 * If an end of file follows the bytes that filled the reader's buffer, takes it too (Linux: commit
	 * 359303076163).
	 */
	if (!eof && done && tty_local(tty, ICANON) && tty_input_ready(tty) && ends_line(input, input->tail) &&
	    *slot(input, input->tail) == NO_CHAR)
		input->tail++;
	wake_up_all(&tty->readers); /* the console's thread may wait for room, other readers for input */
	return done;
}

/* --- erasing --- */

static bool input_is_continuation(const struct tty *tty, u8 byte)
{
	return (tty->termios.iflag & IUTF8) && (byte & 0xc0) == 0x80;
}

/* Returns how many columns the echo of a byte takes, if it is not a tab. */
static u32 width(const struct tty *tty, u8 byte)
{
	if (input_is_continuation(tty, byte))
		return 0;
	if (byte >= ' ' && byte != 0x7f)
		return 1;
	return tty_local(tty, ECHOCTL) ? 2 : 0;
}

/* Returns the column in which the line that is being edited ends. */
static u32 end_column(struct tty *tty)
{
	struct tty_input *input = &tty->input;
	u32 column = tty->line_column;

	for (u32 at = input->lines_head; at != input->head; at++) {
		u8 byte = *slot(input, at);

		column += byte == '\t' ? TAB_WIDTH - column % TAB_WIDTH : width(tty, byte);
	}
	return column;
}

/* Erases the last character of the line, and its echo. Returns false if there is none. */
static bool erase_char(struct tty *tty)
{
	struct tty_input *input = &tty->input;
	u8 byte;

	do {
		if (input->head == input->lines_head)
			return false;
		byte = *slot(input, --input->head);
	} while (input_is_continuation(tty, byte));
	if (!tty_local(tty, ECHO))
		return true;
	if (!tty_local(tty, ECHOE)) {
		tty_echo(tty, tty->termios.cc[VERASE]);
	} else if (byte == '\t') {
		for (u32 column = end_column(tty); tty->column > column;)
			tty_output(tty, DEBUGCON_STDOUT, "\b", 1);
	} else {
		for (u32 i = width(tty, byte); i; i--)
			tty_output(tty, DEBUGCON_STDOUT, "\b \b", 3);
	}
	return true;
}

static bool is_word(u8 byte)
{
	u8 lower = byte | 0x20;

	return (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z') || byte == '_' || byte >= 0x80;
}

/* Erases the last word, and what follows it. */
static void erase_word(struct tty *tty)
{
	struct tty_input *input = &tty->input;
	bool seen = false;

	while (input->head != input->lines_head) {
		bool word = is_word(*slot(input, input->head - 1));

		if (seen && !word)
			return;
		seen |= word;
		erase_char(tty);
	}
}

static void erase_line(struct tty *tty)
{
	struct tty_input *input = &tty->input;
	bool visibly = tty_local(tty, ECHOK) && tty_local(tty, ECHOKE) && tty_local(tty, ECHOE);

	if (visibly || !tty_local(tty, ECHO)) {
		while (erase_char(tty))
			;
		return;
	}
	input->head = input->lines_head;
	tty_echo(tty, tty->termios.cc[VKILL]);
	if (tty_local(tty, ECHOK))
		tty_echo(tty, '\n');
}

/* Echoes the line again. */
static void reprint(struct tty *tty)
{
	struct tty_input *input = &tty->input;

	tty_echo(tty, tty->termios.cc[VREPRINT]);
	tty_echo(tty, '\n');
	for (u32 at = input->lines_head; at != input->head; at++)
		tty_echo(tty, *slot(input, at));
}

/* --- one byte --- */

static bool is_cc(const struct tty *tty, enum control_char which, u8 byte)
{
	return byte != NO_CHAR && tty->termios.cc[which] == byte;
}

static void input_end_line(struct tty *tty, u8 byte)
{
	input_put(&tty->input, byte, true);
	tty->input.lines_head = tty->input.head;
	wake_up_all(&tty->readers);
}

/*
 * Adds an ordinary byte to the input, or discards it if there is no room. With ICANON the last place is kept for the
 * end of the line.
 */
static void input_plain_byte(struct tty *tty, u8 byte)
{
	struct tty_input *input = &tty->input;

	if (input_room(input) <= (tty_local(tty, ICANON) ? 1 : 0))
		return;
	if (tty_local(tty, ECHO)) {
		if (input->head == input->lines_head)
			tty->line_column = tty->column;
		tty_echo(tty, byte);
	}
	input_put(input, byte, false);
	if (!tty_local(tty, ICANON))
		wake_up_all(&tty->readers);
}

/* IXON: handles the characters that start and stop output. Returns whether the byte was one. */
static bool flow_control(struct tty *tty, u8 byte)
{
	bool start = is_cc(tty, VSTART, byte), stop = is_cc(tty, VSTOP, byte);

	if (!(tty->termios.iflag & IXON))
		return false;
	if (start || (!stop && tty->stopped && (tty->termios.iflag & IXANY)))
		tty_start(tty);
	else if (stop)
		WRITE_ONCE(tty->stopped, true);
	return start || stop;
}

/* ISIG: returns the signal that the byte generates, or 0. */
static int signal_byte(struct tty *tty, u8 byte)
{
	int sig = is_cc(tty, VINTR, byte) ? SIGINT : is_cc(tty, VQUIT, byte) ? SIGQUIT : 0;

	if (is_cc(tty, VSUSP, byte))
		sig = SIGTSTP;
	if (!sig || !tty_local(tty, ISIG))
		return 0;
	if (!tty_local(tty, NOFLSH))
		tty_input_flush(tty);
	tty_start(tty);
	if (tty_local(tty, ECHO))
		tty_echo(tty, byte);
	return sig;
}

/* ICANON: handles the characters that edit the line. Returns whether the byte was one. */
static bool editing_byte(struct tty *tty, u8 byte)
{
	bool extended = tty_local(tty, IEXTEN);

	if (is_cc(tty, VERASE, byte)) {
		erase_char(tty);
	} else if (is_cc(tty, VKILL, byte)) {
		erase_line(tty);
	} else if (extended && is_cc(tty, VWERASE, byte)) {
		erase_word(tty);
	} else if (extended && is_cc(tty, VLNEXT, byte)) {
		tty->literal_next = true;
		if (tty_local(tty, ECHO) && tty_local(tty, ECHOCTL))
			tty_output(tty, DEBUGCON_STDOUT, "^\b", 2);
	} else if (extended && tty_local(tty, ECHO) && is_cc(tty, VREPRINT, byte)) {
		reprint(tty);
	} else {
		return false;
	}
	return true;
}

/* ICANON: handles the characters that end a line or the file. Returns whether the byte was one. */
static bool ending_byte(struct tty *tty, u8 byte)
{
	if (byte == '\n') {
		if (tty_local(tty, ECHO) || tty_local(tty, ECHONL))
			tty_echo(tty, byte);
		input_end_line(tty, byte);
	} else if (is_cc(tty, VEOF, byte)) {
		input_end_line(tty, NO_CHAR);
	} else if (is_cc(tty, VEOL, byte) || (tty_local(tty, IEXTEN) && is_cc(tty, VEOL2, byte))) {
		if (tty_local(tty, ECHO))
			tty_echo(tty, byte);
		input_end_line(tty, byte);
	} else {
		return false;
	}
	return true;
}

/* Translates the byte as iflag says. Returns false if it is discarded. */
static bool map_byte(const struct tty *tty, u8 *byte)
{
	u32 flags = tty->termios.iflag;

	if (*byte == '\r' && (flags & IGNCR))
		return false;
	if (*byte == '\r' && (flags & ICRNL))
		*byte = '\n';
	else if (*byte == '\n' && (flags & INLCR))
		*byte = '\r';
	return true;
}

int tty_input_byte(struct tty *tty, u8 byte)
{
	int sig;

	assert_mutex_held(&tty->lock);
	if (tty->termios.iflag & ISTRIP)
		byte &= 0x7f;
	if (tty->literal_next) {
		tty->literal_next = false;
		input_plain_byte(tty, byte);
		return 0;
	}
	if (flow_control(tty, byte))
		return 0;
	sig = signal_byte(tty, byte);
	if (sig || !map_byte(tty, &byte))
		return sig;
	if (tty_local(tty, ICANON) && (editing_byte(tty, byte) || (input_room(&tty->input) && ending_byte(tty, byte))))
		return 0;
	input_plain_byte(tty, byte);
	return 0;
}
