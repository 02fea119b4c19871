/* SPDX-License-Identifier: MIT */
/*
 * The kernel log. Each line goes at once to the debug console and to a ring buffer that keeps the last lines for
 * readers of memory (GDB). Callable from any context, NMI included: each line is built on the stack and written in one
 * go. The console lock only keeps lines from interleaving; a context that cannot acquire it (an NMI that interrupted
 * its holder, a panic that may have stopped the holder) writes without it.
 */
#include "drivers/debugcon.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/time/clock.h"
#include <machine_arch.h>

#define KEPT_LINES 1024 /* lines whose start is recorded */
#define NOBODY 0u

static char log_ring[LOG_RING_SIZE]; /* protected by console_lock, except in a panic */
static u64 log_written;		     /* bytes ever written; the newest is at log_written % LOG_RING_SIZE */
static struct {
	u64 start; /* the value of log_written at its first byte */
	u64 time_ns;
} log_lines[KEPT_LINES]; /* likewise; line n is at n % KEPT_LINES */
static u64 nr_log_lines; /* likewise */
static u32 console_lock; /* the number of the CPU that writes, + 1; not a spinlock_t: no rank checks */
static bool lock_is_off; /* set once, by a panic */

void log_lock_off(void)
{
	WRITE_ONCE(lock_is_off, true);
}

#define assert_console_held()                                                                                          \
	ASSERT(READ_ONCE(console_lock) == cpu_id() + 1 || READ_ONCE(lock_is_off), "console_lock is held")

static bool console_acquire(void)
{
	u32 me = cpu_id() + 1;

	while (!atomic_cas(&console_lock, NOBODY, me)) {
		if (READ_ONCE(console_lock) == me || READ_ONCE(lock_is_off))
			return false;
		cpu_relax();
	}
	return true;
}

static void ring_append(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		log_ring[log_written++ % LOG_RING_SIZE] = text[i];
}

static void write_line(char *line, int length)
{
	unsigned long flags = irq_save();
	bool locked = console_acquire();

	length = min(length, LOG_LINE_MAX - 2);
	line[length++] = '\n';
	log_lines[nr_log_lines % KEPT_LINES].start = log_written;
	log_lines[nr_log_lines++ % KEPT_LINES].time_ns = ktime_ns();
	ring_append(line, (size_t)length);
	debugcon_write_lines(DEBUGCON_LOG, line, (size_t)length);
	if (locked)
		store_release(&console_lock, NOBODY);
	irq_restore(flags);
}

/* => console_lock held. Returns the oldest line that is still complete in the ring. */
static u64 oldest_line(void)
{
	u64 number = nr_log_lines > KEPT_LINES ? nr_log_lines - KEPT_LINES : 0;

	assert_console_held();
	while (number < nr_log_lines && log_lines[number % KEPT_LINES].start + LOG_RING_SIZE < log_written)
		number++;
	return number;
}

/* => console_lock held. */
static void copy_line(u64 number, char *buf, size_t size)
{
	u64 at = log_lines[number % KEPT_LINES].start;

	assert_console_held();
	while (size-- > 1 && log_ring[at % LOG_RING_SIZE] != '\n')
		*buf++ = log_ring[at++ % LOG_RING_SIZE];
	*buf = 0;
}

bool klog_line(u64 *number, u64 *time_ns, char *buf, size_t size)
{
	unsigned long flags = irq_save();
	bool locked = console_acquire(), found;

	*number = max(*number, oldest_line());
	found = *number < nr_log_lines;
	if (found) {
		*time_ns = log_lines[*number % KEPT_LINES].time_ns;
		copy_line(*number, buf, size);
	}
	if (locked)
		store_release(&console_lock, NOBODY);
	irq_restore(flags);
	return found;
}

u64 klog_next_line(void)
{
	return READ_ONCE(nr_log_lines);
}

void klog(const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
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
	char line[LOG_LINE_MAX];
	int length;
	va_list args;

	va_start(args, fmt);
	length = kvsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	write_line(line, length);
}
