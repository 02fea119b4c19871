/* SPDX-License-Identifier: MIT */
/*
 * The terminal's output: the translations of OPOST, the column of the cursor, and the echo of typed bytes. Takes no
 * lock: callers hold tty->lock.
 */
#include "kernel/linux/tty/tty.h"

#define TAB_WIDTH 8u
#define DELETE 0x7f

static bool is_control(u8 byte)
{
	return byte < ' ' || byte == DELETE;
}

static bool output_is_continuation(u8 byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Translates a byte into `out`, and moves the cursor. Returns the number of bytes in `out`. */
static size_t translate(struct tty *tty, u8 byte, char *out)
{
	u32 flags = tty->termios.oflag;
	size_t n = 0;

	switch (byte) {
	case '\n':
		if (flags & (ONLCR | ONLRET))
			tty->column = 0;
		if (flags & ONLCR)
			out[n++] = '\r';
		break;
	case '\r':
		if ((flags & ONOCR) && tty->column == 0)
			return 0;
		if (flags & OCRNL)
			byte = '\n';
		if (!(flags & OCRNL) || (flags & ONLRET))
			tty->column = 0;
		break;
	case '\t':
		n = TAB_WIDTH - tty->column % TAB_WIDTH;
		tty->column += (u32)n;
		if ((flags & TABDLY) == XTABS) {
			for (size_t i = 0; i < n; i++)
				out[i] = ' ';
			return n;
		}
		n = 0;
		break;
	case '\b':
		if (tty->column)
			tty->column--;
		break;
	default:
		if (!is_control(byte) && !((tty->termios.iflag & IUTF8) && output_is_continuation(byte)))
			tty->column++;
	}
	out[n++] = (char)byte;
	return n;
}

void tty_start(struct tty *tty)
{
	assert_mutex_held(&tty->lock);
	if (tty->tco_stopped)
		return;
	WRITE_ONCE(tty->stopped, false);
	wake_up_all(&tty->writers);
}

void tty_output(struct tty *tty, enum debugcon_port port, const char *text, size_t n)
{
	char out[256];
	size_t used = 0;

	assert_mutex_held(&tty->lock);
	if (!(tty->termios.oflag & OPOST)) {
		debugcon_write(port, text, n);
		return;
	}
	while (n--) {
		used += translate(tty, (u8)*text++, out + used);
		if (used > sizeof(out) - TAB_WIDTH || !n) {
			debugcon_write(port, out, used);
			used = 0;
		}
	}
}

void tty_echo(struct tty *tty, u8 byte)
{
	char text[2] = { '^', (char)(byte ^ 0x40) };

	assert_mutex_held(&tty->lock);
	if (tty_local(tty, ECHOCTL) && is_control(byte) && byte != '\t' && byte != '\n') {
		tty_output(tty, DEBUGCON_STDOUT, text, 2);
	} else {
		text[0] = (char)byte;
		tty_output(tty, DEBUGCON_STDOUT, text, 1);
	}
}
