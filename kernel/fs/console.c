/* SPDX-License-Identifier: MIT */
/*
 * The console: a kernel thread reads COM1, the machine's only serial line, and passes the bytes on to a terminal if the
 * command line says `tty`, else to a stream. In the input, 0xff begins a record:
 *
 *	0xff 0xff	one byte 0xff
 *	0xff 0x00	the end of the input
 *	0xff 0x01 RR CC	the window has that many rows and columns (two bytes each, the low one first)
 *	0xff 0x02	the machine must shut down, as by reboot(2)
 *
 * Takes no lock: only the thread uses the record. The interrupt only wakes the thread.
 */
#include "kernel/fs/console.h"
#include "drivers/serial.h"
#include "kernel/boot_words.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/stream.h"
#include "kernel/lib/print.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/sched/kthread.h"

#define RECORD 0xff
#define RECORD_END 0x00
#define RECORD_WINDOW 0x01
#define RECORD_OFF 0x02
#define WINDOW_SIZE 4
#define PATIENCE 300u /* polls after a byte, of a microsecond or less each */

static bool is_tty; /* constant after boot */
static struct task *thread;
static struct {
	u8 bytes[2 + WINDOW_SIZE];
	unsigned size; /* bytes received; 0: no record has begun */
} record;

static void console_plain_byte(u8 byte)
{
	if (is_tty)
		tty_receive(byte);
	else
		stream_receive(byte);
}

static void end_of_input(void)
{
	if (!is_tty) /* the input of a terminal ends with the machine */
		stream_end();
}

static u16 word(const u8 *bytes)
{
	return (u16)(bytes[0] | bytes[1] << 8);
}

/* Handles the next byte of a record. */
static void record_byte(u8 byte)
{
	record.bytes[record.size++] = byte;
	if (record.bytes[1] == RECORD_WINDOW && record.size < sizeof(record.bytes))
		return;
	if (record.bytes[1] == RECORD_WINDOW)
		tty_resize(word(record.bytes + 2), word(record.bytes + 4));
	else if (record.bytes[1] == RECORD_END)
		end_of_input();
	else if (record.bytes[1] == RECORD_OFF)
		machine_end();
	else
		console_plain_byte(byte);
	record.size = 0;
}

static void receive(u8 byte)
{
	if (record.size)
		record_byte(byte);
	else if (byte == RECORD)
		record.size = 1;
	else
		console_plain_byte(byte);
}

/*
 * Reads what the line has. Keeps polling for a short time after each byte: the sender on the host passes on a byte when
 * the previous one has been read, and a sleep between two bytes would be noticeable.
 */
static void pump(void)
{
	for (unsigned patience = 1; patience && !kthread_should_stop();) {
		int byte = serial_read();

		if (byte >= 0) {
			receive((u8)byte);
			patience = PATIENCE;
		} else {
			patience--;
			cpu_relax();
		}
	}
}

static void serial_interrupt_handler(void)
{
	thread_wake((struct thread *)thread);
}

static void console_main(void *arg __maybe_unused)
{
	while (!kthread_should_stop()) {
		pump();
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		if (!kthread_should_stop() && !serial_listen())
			thread_sleep();
		thread_cancel_sleep();
	}
}

const struct file_ops *console_ops(u32 rdev)
{
	const struct file_ops *tty = boot_option("tty", NULL, 0) ? tty_file_ops() : NULL;

	if (rdev == DEV_STDERR && boot_option("stderr", NULL, 0))
		return &stream_ops;
	return tty ? tty : &stream_ops;
}

void console_start(void)
{
	is_tty = console_ops(DEV_CONSOLE) != &stream_ops;
	thread = kthread_start("console", console_main, NULL);
	if (!thread)
		panic("no memory for the console's thread");
	serial_init(serial_interrupt_handler);
	thread_wake((struct thread *)thread);
	klog("FAULTLINE-STDIN ready");
}

void console_stop(void)
{
	assert_may_sleep();
	serial_init(NULL);
	synchronize_rcu(); /* an interrupt on another CPU may be about to wake the thread */
	kthread_stop(thread);
}
