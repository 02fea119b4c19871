/* SPDX-License-Identifier: MIT */
/*
 * The kernel log for programs: /dev/kmsg, with one record for each read, and syslog(2). Takes no lock but the log's
 * own. A reader of /dev/kmsg that has read everything checks again every POLL_INTERVAL_NS: lines are logged in any
 * context, also where no thread can be woken.
 */
#include "kernel/fs/file.h"
#include "kernel/fs/poll.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/time/timer.h"
#include "kernel/uaccess.h"

#define RECORD_MAX 640
#define PRIORITY 6 /* all lines are KERN_INFO */

enum syslog_action {
	SYSLOG_CLOSE,
	SYSLOG_OPEN,
	SYSLOG_READ,
	SYSLOG_READ_ALL,
	SYSLOG_READ_CLEAR,
	SYSLOG_CLEAR,
	SYSLOG_CONSOLE_OFF,
	SYSLOG_CONSOLE_ON,
	SYSLOG_CONSOLE_LEVEL,
	SYSLOG_SIZE_UNREAD,
	SYSLOG_SIZE_BUFFER,
};

static u64 cleared; /* syslog(2) begins at this line; written without a lock, each value is whole */

/* --- /dev/kmsg --- */

/*
 * Changes a line that a program writes so that it looks neither like a control record of the kernel, nor like two
 * lines.
 */
static void tame(char *line)
{
	static const char record[] = "FAULTLINE-";

	for (char *at = line; (at = strstr(at, record)) != NULL; at += sizeof(record) - 1)
		at[sizeof(record) - 2] = ' ';
	for (; *line; line++) {
		if ((u8)*line < ' ')
			*line = ' ';
	}
}

/* Each write is one line of the kernel log, with the same maximum length as on Linux. */
static long kmsg_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	char line[1025];
	size_t n = min(from->count, sizeof(line) - 1), left = from->count;

	(void)file, (void)pos;
	if (iov_copy_from(from, line, n) < n)
		return -EFAULT;
	while (n && line[n - 1] == '\n')
		n--;
	line[n] = 0;
	tame(line);
	klog("%s", line);
	return (long)left;
}

/* Reads the line at the file's position, and moves on. Threads that share the position may read a line twice. */
static long read_record(struct file *file, struct iov_iter *to)
{
	char line[LOG_LINE_MAX], record[RECORD_MAX];
	u64 number = (u64)READ_ONCE(file->private), time_ns;
	int size;

	if (!klog_line(&number, &time_ns, line, sizeof(line)))
		return -EAGAIN;
	size = ksnprintf(record, sizeof(record), "%d,%lu,%lu,-;%s\n", PRIORITY, number, time_ns / 1000, line);
	if ((size_t)size > to->count)
		return -EINVAL;
	if (iov_copy_to(to, record, (size_t)size) < (size_t)size)
		return -EFAULT;
	WRITE_ONCE(file->private, (void *)(number + 1));
	return size;
}

static long kmsg_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	long ret;

	(void)pos;
	while ((ret = read_record(file, to)) == -EAGAIN && !(file->flags & O_NONBLOCK)) {
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		if (signal_pending()) {
			thread_cancel_sleep();
			return -ERESTARTSYS;
		}
		sleep_until(ktime_ns() + POLL_INTERVAL_NS);
	}
	return ret;
}

static u32 kmsg_poll(struct file *file, struct poll_table *table)
{
	if (table)
		table->needs_polling = true;
	return klog_next_line() > (u64)READ_ONCE(file->private) ? POLLIN | POLLRDNORM : 0;
}

/* SEEK_SET: the oldest line. SEEK_DATA: the first one after the last clearing. SEEK_END: after the newest. */
static s64 kmsg_seek(struct file *file, s64 offset, int whence)
{
	if (offset)
		return -ESPIPE;
	if (whence != SEEK_SET && whence != SEEK_DATA && whence != SEEK_END)
		return -EINVAL;
	WRITE_ONCE(file->private, (void *)(whence == SEEK_SET	 ? 0
					   : whence == SEEK_DATA ? READ_ONCE(cleared)
								 : klog_next_line()));
	return 0;
}

static const struct file_ops kmsg_ops = {
	.read = kmsg_read,
	.write = kmsg_write,
	.poll = kmsg_poll,
	.llseek = kmsg_seek,
};

const struct file_ops *kmsg_file_ops(void)
{
	return &kmsg_ops;
}

/* --- syslog(2) --- */

/* Formats a line as syslog(2) shows it and advances *number. Returns the length, or 0 if there is no line. */
static size_t format_line(u64 *number, char *text, size_t size)
{
	char line[LOG_LINE_MAX];
	u64 time_ns;

	if (!klog_line(number, &time_ns, line, sizeof(line)))
		return 0;
	++*number;
	return (size_t)ksnprintf(text, size, "<%d>[%5lu.%06lu] %s\n", PRIORITY, time_ns / NSEC_PER_SEC,
				 time_ns % NSEC_PER_SEC / 1000, line);
}

/* Returns the first line from which on all lines fit into `size` bytes. */
static u64 first_that_fits(u64 first, u64 size)
{
	char text[RECORD_MAX];
	u64 total = 0, number = first;
	size_t n;

	while ((n = format_line(&number, text, sizeof(text))) != 0)
		total += n;
	for (number = first; total > size && (n = format_line(&number, text, sizeof(text))) != 0;)
		total -= n;
	return number;
}

static long read_all(u64 to, u64 size)
{
	u64 number = first_that_fits(READ_ONCE(cleared), size), done = 0;
	char text[RECORD_MAX];
	size_t n;

	while ((n = format_line(&number, text, sizeof(text))) != 0 && done + n <= size) {
		if (copy_to_user(to + done, text, n))
			return -EFAULT;
		done += n;
		cond_resched();
	}
	return (long)done;
}

/* All lines count as read; a program that wants only new ones reads /dev/kmsg. The console always shows everything. */
SYSCALL(syslog)
{
	enum syslog_action action = (enum syslog_action)a0;
	s32 size = (s32)a2;
	long answer = 0;

	switch (action) {
	case SYSLOG_READ_ALL:
	case SYSLOG_READ_CLEAR:
		if (!a1 || size < 0)
			return -EINVAL;
		answer = read_all(a1, (u64)size);
		break;
	case SYSLOG_SIZE_BUFFER:
		return LOG_RING_SIZE;
	case SYSLOG_CLOSE:
	case SYSLOG_OPEN:
	case SYSLOG_CLEAR:
	case SYSLOG_CONSOLE_OFF:
	case SYSLOG_CONSOLE_ON:
	case SYSLOG_SIZE_UNREAD:
		break;
	case SYSLOG_CONSOLE_LEVEL:
		if (size < 1 || size > 8)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (answer >= 0 && (action == SYSLOG_CLEAR || action == SYSLOG_READ_CLEAR))
		WRITE_ONCE(cleared, klog_next_line());
	return answer;
}
