/* SPDX-License-Identifier: MIT */
/* Tests resource limits: reading and setting them, RLIMIT_AS and RLIMIT_NOFILE enforced, inheritance, errors. */
#include "user/lib/check.h"

#include <fcntl.h>
#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)

static void defaults(void)
{
	struct rlimit limit;

	section("reading");
	CHECK(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur == 8 << 20);
	CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);
	CHECK(getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= 256);
	CHECK_ERRNO(getrlimit(99, &limit), EINVAL);
	CHECK_ERRNO(setrlimit(RLIMIT_AS, &(struct rlimit){ 10, 5 }), EINVAL);
	CHECK_ERRNO(prlimit(1 << 29, RLIMIT_AS, NULL, &limit), ESRCH);
	CHECK(prlimit(getpid(), RLIMIT_STACK, NULL, &limit) == 0 && limit.rlim_cur == 8 << 20);
}

static int little_memory(void *arg)
{
	struct rlimit limit = { 64 << 20, 64 << 20 };
	void *volatile big; /* a compiler may remove an allocation whose result is not used */
	char *p;

	(void)arg;
	if (setrlimit(RLIMIT_AS, &limit))
		return 1;
	p = mmap(NULL, 128 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED || errno != ENOMEM)
		return 2;
	p = mmap(NULL, 16 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 3;
	if (mremap(p, 16 << 20, 80 << 20, MREMAP_MAYMOVE) != MAP_FAILED || errno != ENOMEM)
		return 4;
	big = malloc(100 << 20);
	if (big)
		return 5;
	return 0;
}

static int few_files(void *arg)
{
	struct rlimit limit = { 10, 10 };
	int fd = 0;

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	while (fd >= 0 && fd < 20)
		fd = dup(1);
	if (fd != -1 || errno != EMFILE)
		return 2;
	if (dup2(1, 10) != -1 || errno != EBADF)
		return 3;
	if (fcntl(1, F_DUPFD, 10) != -1 || errno != EINVAL)
		return 4;
	return 0;
}

static int no_files(void *arg)
{
	struct rlimit limit = { 0, 0 };

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	if (dup(1) != -1 || errno != EMFILE)
		return 2;
	if (fcntl(1, F_DUPFD, 0) != -1 || errno != EINVAL)
		return 3;
	return 0;
}

/* A file that may have one page; `arg` is its descriptor. */
static int small_file(void *arg)
{
	struct rlimit limit = { PAGE, PAGE };
	int fd = *(int *)arg;

	if (setrlimit(RLIMIT_FSIZE, &limit) || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return 1;
	if (fallocate(fd, 0, 0, PAGE))
		return 2;
	if (fallocate(fd, 0, 0, PAGE + 1) != -1 || errno != EFBIG)
		return 3;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, PAGE, PAGE) != -1 || errno != EFBIG)
		return 4;
	if (ftruncate(fd, PAGE + 1) != -1 || errno != EFBIG)
		return 5;
	signal(SIGXFSZ, SIG_DFL);
	fallocate(fd, 0, 0, 2 * PAGE);
	return 6;
}

static int inherited(void *arg)
{
	struct rlimit limit;

	(void)arg;
	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 ? 0 : 1;
}

static void enforced(void)
{
	int fd = memfd_create("small", 0);

	section("enforced");
	CHECK_EQ(run_child(little_memory, NULL), 0);
	CHECK_EQ(run_child(few_files, NULL), 0);
	CHECK_EQ(run_child(no_files, NULL), 0);
	CHECK(killed_by(run_child(small_file, &fd), SIGXFSZ));
	close(fd);
	MUST(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) == 0);
	CHECK_EQ(run_child(inherited, NULL), 0);
}

int main(void)
{
	defaults();
	enforced();
	return check_done();
}
