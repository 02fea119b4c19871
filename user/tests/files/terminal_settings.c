/* SPDX-License-Identifier: MIT */
/*
 * Tests a terminal's settings through both families of requests: TCGETS and its relatives, which older C libraries use,
 * and TCGETS2 and its relatives, which carry speeds, and by which newer C libraries recognise a terminal.
 * Run with a terminal as standard input; restores the settings. With an argument, tests a hang-up, on Faultline only.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

/* The kernel's structures; the C library's struct termios differs. */
struct old_settings {
	unsigned int iflag, oflag, cflag, lflag;
	unsigned char line, cc[19];
};
struct settings {
	struct old_settings old;
	unsigned int ispeed, ospeed;
};
#define GET _IOR('T', 0x2a, struct settings)
#define SET _IOW('T', 0x2b, struct settings)
#define SET_DRAINED _IOW('T', 0x2c, struct settings)
#define SET_FLUSHED _IOW('T', 0x2d, struct settings)
#define SPEED 0x100f /* CBAUD, which not every C library defines */
#define BY_NUMBER 0x1000
#define INPUT 16 /* shift of the input speed */

static struct old_settings first(void)
{
	struct old_settings old = { 0 };

	CHECK(ioctl(0, TCGETS, &old) == 0);
	return old;
}

static struct settings second(void)
{
	struct settings new = { 0 };

	CHECK(ioctl(0, GET, &new) == 0);
	return new;
}

static bool agree(void)
{
	struct old_settings old = first(), new = second().old;

	return !memcmp(&old, &new, sizeof(old));
}

/* Sets the output and input speeds by their codes, or by number where the code says BY_NUMBER. */
static void set_speed(unsigned long request, unsigned int out, unsigned int in, unsigned int out_number,
		      unsigned int in_number)
{
	struct settings new = second();

	new.old.cflag = (new.old.cflag & ~(SPEED | SPEED << INPUT)) | out | in << INPUT;
	new.ospeed = out_number;
	new.ispeed = in_number;
	CHECK(ioctl(0, request, &new) == 0);
}

static void speeds(void)
{
	section("speeds");
	set_speed(SET, B9600, 0, 1, 2);
	CHECK_EQ(second().ospeed, 9600);
	CHECK_EQ(second().ispeed, 9600);
	CHECK((first().cflag & SPEED) == B9600);
	set_speed(SET_DRAINED, B4000000, B134, 1, 2);
	CHECK_EQ(second().ospeed, 4000000);
	CHECK_EQ(second().ispeed, 134);
	set_speed(SET_FLUSHED, BY_NUMBER, BY_NUMBER, 12345, 54321);
	CHECK_EQ(second().ospeed, 12345);
	CHECK_EQ(second().ispeed, 54321);
	set_speed(SET, BY_NUMBER, 0, 777, 2);
	CHECK_EQ(second().ispeed, 777);
	set_speed(SET, B57600, 0, 1, 2);
	CHECK_EQ(second().ospeed, 57600);
	CHECK(agree());
}

/* The old requests carry no speeds as numbers: the flags alone decide. */
static void old_requests(void)
{
	struct old_settings old;

	section("old requests");
	set_speed(SET, BY_NUMBER, 0, 777, 2);
	old = first();
	CHECK(ioctl(0, TCSETS, &old) == 0);
	CHECK_EQ(second().ospeed, 777);
	old.cflag = (old.cflag & ~SPEED) | B1200;
	old.lflag &= ~(unsigned int)ECHO;
	CHECK(ioctl(0, TCSETSW, &old) == 0);
	CHECK_EQ(second().ospeed, 1200);
	CHECK(!(second().old.lflag & ECHO));
	old.lflag |= ECHO;
	CHECK(ioctl(0, TCSETSF, &old) == 0);
	CHECK(second().old.lflag & ECHO);
	CHECK(agree());
}

static void refused(void)
{
	int ends[2];
	struct settings new = second();

	section("refused");
	MUST(pipe(ends) == 0);
	CHECK_ERRNO(ioctl(ends[0], GET, &new), ENOTTY);
	CHECK_ERRNO(ioctl(ends[0], TCGETS, &new), ENOTTY);
	CHECK_ERRNO(ioctl(0, GET, NULL), EFAULT);
	CHECK_ERRNO(ioctl(0, SET, NULL), EFAULT);
	CHECK_ERRNO(ioctl(0, TCSETSF, NULL), EFAULT);
}

static bool is_writable(void)
{
	struct pollfd poll_fd = { .fd = 1, .events = POLLOUT };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLOUT;
}

/* Only TCOON starts again what TCOOFF has stopped. Prints nothing meanwhile: it would wait. */
static void stopped_output(void)
{
	bool stopped, after_set, started;
	struct settings new = second(), old = new;

	section("stopped output");
	tcflow(1, TCOOFF);
	stopped = !is_writable();
	new.old.iflag &= ~(unsigned int)IXON;
	ioctl(0, SET, &new);
	after_set = !is_writable();
	tcflow(1, TCOON);
	started = is_writable();
	ioctl(0, SET, &old);
	CHECK(stopped);
	CHECK(after_set);
	CHECK(started);
}

static int steal_as_nobody(void *unused UNUSED)
{
	return setsid() < 0 || setuid(65534) || ioctl(0, TIOCSCTTY, 1) != -1 || errno != EPERM;
}

static void stealing(void)
{
	section("the terminal of another session");
	CHECK(exited_with(run_child(steal_as_nobody, NULL), 0));
}

struct hang_up {
	int terminal, ready[2], answer[2];
};

static void write_stopped(struct hang_up *h)
{
	int error;

	MUST(tcflow(h->terminal, TCOOFF) == 0 && write(h->ready[1], "", 1) == 1);
	error = write(h->terminal, "x", 1) < 0 ? errno : 0;
	MUST(write(h->answer[1], &error, sizeof(error)) == sizeof(error));
	_exit(0);
}

/* The leader of a session with a terminal ends while another process waits to write. */
static int lead(void *arg)
{
	struct hang_up *h = arg;
	char byte;

	MUST(setsid() > 0);
	h->terminal = open("/dev/ttyS0", O_RDWR);
	MUST(h->terminal >= 0);
	if (!fork())
		write_stopped(h);
	return read(h->ready[0], &byte, 1) != 1 || usleep(50000);
}

/* Needs /dev/console, which is not hung up, to print the result. */
static void hang_up(void)
{
	struct hang_up h;
	int status, error = -1, console = open("/dev/console", O_RDWR);

	section("a hang-up ends a write to a stopped terminal");
	MUST(console >= 0 && pipe(h.ready) == 0 && pipe(h.answer) == 0);
	signal(SIGHUP, SIG_IGN);
	MUST(ioctl(0, TIOCNOTTY) == 0);
	status = run_child(lead, &h);
	if (poll(&(struct pollfd){ .fd = h.answer[0], .events = POLLIN }, 1, 5000) == 1)
		MUST(read(h.answer[0], &error, sizeof(error)) == sizeof(error));
	tcflow(console, TCOON);
	MUST(dup2(console, 1) == 1);
	CHECK(exited_with(status, 0));
	CHECK_EQ(error, EIO);
}

int main(int argc, char **argv UNUSED)
{
	struct settings before;

	if (argc > 1) {
		hang_up();
		return check_done();
	}
	before = second();

	CHECK(isatty(0) && isatty(1));
	CHECK(agree());
	speeds();
	old_requests();
	refused();
	stopped_output();
	stealing();
	CHECK(ioctl(0, SET, &before) == 0);
	return check_done();
}
