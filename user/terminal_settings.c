/* SPDX-License-Identifier: MIT */
/*
 * Tests a terminal's settings through both families of requests: TCGETS and its relatives, which older C libraries use,
 * and TCGETS2 and its relatives, which carry speeds, and by which newer C libraries recognise a terminal.
 * Run with a terminal as standard input; restores the settings.
 */
#include "user/check.h"

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

int main(void)
{
	struct settings before = second();

	CHECK(isatty(0) && isatty(1));
	CHECK(agree());
	speeds();
	old_requests();
	refused();
	CHECK(ioctl(0, SET, &before) == 0);
	return check_done();
}
