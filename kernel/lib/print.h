/* SPDX-License-Identifier: MIT */
/* Formatted output to the kernel log, panic and assertions. Callable from any context, NMI included. */
#ifndef KERNEL_PRINT_H
#define KERNEL_PRINT_H

#include "kernel/lib/base.h"

/* Appends one line (without its newline) to the kernel log. */
void klog(const char *fmt, ...) __printf(1, 2);
/* The same without the CPU's number in front: for the records that the host's tools look for. */
void klog_record(const char *fmt, ...) __printf(1, 2);
/*
 * For readers of the log: copies line *number (NUL-terminated, without a newline) or, if that is no longer kept, the
 * oldest line that is. Sets *number to the number of the line copied, *time_ns to the time at which it was written.
 * Returns false if the line has not been written yet.
 */
#define LOG_LINE_MAX 512
#define LOG_RING_SIZE (64 * 1024)
bool klog_line(u64 *number, u64 *time_ns, char *buf, size_t size);
/* The number that the next line will have. */
u64 klog_next_line(void);
/* For a panic: log lines no longer wait for the console lock, since its holder may have been stopped. */
void log_lock_off(void);
/*
 * Like C's snprintf() without floating point; `%p` prints 16 hex digits. Return the length that the whole text would
 * have.
 */
int ksnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int kvsnprintf(char *buf, size_t size, const char *fmt, va_list args) __printf(3, 0);

/* Reports a violated invariant, in a sentence, and stops every CPU (on the host: aborts). */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;

/* An invariant that both builds check. */
#define BUG_ON(cond, ...)                                                                                              \
	do {                                                                                                           \
		if (unlikely(cond))                                                                                    \
			panic(__VA_ARGS__);                                                                            \
	} while (0)

/* A contract that debug builds check; `sentence` says what should have held. */
#if DEBUG
#define ASSERT(cond, sentence) BUG_ON(!(cond), "%s:%d: %s (%s)", __FILE__, __LINE__, sentence, #cond)
#else
#define ASSERT(cond, sentence) ((void)sizeof(cond))
#endif

#endif
