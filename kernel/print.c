/* SPDX-License-Identifier: MIT */
/*
 * The kernel log. A line goes at once to the debug console and to a ring that keeps the last lines for whoever looks
 * at memory (GDB). Callable from any context, NMI included: each line is built on the stack and written in one go. The
 * console lock only keeps lines apart; who can't get it in time (an NMI on top of its holder) writes without it.
 */
#include "drivers/debugcon.h"
#include "kernel/print.h"
#include "kernel/string.h"
#include <machine_arch.h>

#define LINE_MAX 512
#define RING_SIZE (64 * 1024)
#define LOCK_TRIES 100000

static char log_ring[RING_SIZE]; /* console_lock, or a panic */
static u64 log_written;		 /* bytes ever written; the newest is at log_written % RING_SIZE */
static u32 console_lock;	 /* not a spinlock_t: no rank checks, and it gives up */

static bool console_acquire(void)
{
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		if (!atomic_xchg(&console_lock, 1))
			return true;
		cpu_relax();
	}
	return false;
}

static void ring_append(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		log_ring[log_written++ % RING_SIZE] = text[i];
}

static void write_line(char *line, int length)
{
	unsigned long flags = irq_save();
	bool locked = console_acquire();

	length = min(length, LINE_MAX - 2);
	line[length++] = '\n';
	ring_append(line, (size_t)length);
	debugcon_write(DEBUGCON_LOG, line, (size_t)length);
	if (locked)
		store_release(&console_lock, 0);
	irq_restore(flags);
}

void klog(const char *fmt, ...)
{
	char line[LINE_MAX];
	int length;
	va_list args;

	length = ksnprintf(line, sizeof(line), "[%u] ", cpu_id());
	va_start(args, fmt);
	length += kvsnprintf(line + length, sizeof(line) - 1 - (size_t)length, fmt, args);
	va_end(args);
	write_line(line, length);
}

void klog_record(const char *fmt, ...)
{
	char line[LINE_MAX];
	int length;
	va_list args;

	va_start(args, fmt);
	length = kvsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	write_line(line, length);
}
