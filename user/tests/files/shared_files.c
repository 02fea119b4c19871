/* SPDX-License-Identifier: MIT */
/*
 * Tests mappings of files that change: shared mappings see and make changes, private ones keep their copies; truncation
 * removes pages (SIGBUS), and later growth yields zeroes. Also tests memfd and /dev/zero.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define RW (PROT_READ | PROT_WRITE)
#define NR 8

static char *map_file(int fd, int flags, size_t nr, off_t offset)
{
	char *p = mmap(NULL, nr * PAGE, RW, flags, fd, offset);

	MUST(p != MAP_FAILED);
	return p;
}

static int new_file(size_t size)
{
	char path[] = "/tmp/faultline-mapXXXXXX";
	int fd = mkstemp(path);

	MUST(fd >= 0 && unlink(path) == 0 && ftruncate(fd, size) == 0);
	return fd;
}

static void shared(int fd)
{
	char *p = map_file(fd, MAP_SHARED, NR, 0), *q = map_file(fd, MAP_SHARED, NR - 2, 2 * PAGE), byte = 0;

	CHECK_EQ(p[0], 0);
	p[5] = 'p';
	CHECK_THAT("a store is read back by read", pread(fd, &byte, 1, 5) == 1 && byte == 'p');
	CHECK_THAT("a write is seen in the mapping", pwrite(fd, "w", 1, 3 * PAGE) == 1 && p[3 * PAGE] == 'w');
	CHECK_THAT("and in another mapping of the same page", q[PAGE] == 'w');
	q[PAGE + 1] = 'q';
	CHECK_EQ(p[3 * PAGE + 1], 'q');
	CHECK_EQ(msync(p, NR * PAGE, MS_SYNC), 0);
	CHECK_EQ(munmap(p, NR * PAGE), 0);
	CHECK_THAT("it stays when one mapping goes", q[PAGE + 1] == 'q');
	munmap(q, (NR - 2) * PAGE);
}

static void private(int fd)
{
	char *p = map_file(fd, MAP_PRIVATE, NR, 0), byte = 0;

	MUST(pwrite(fd, "abc", 3, 0) == 3);
	CHECK_EQ(p[0], 'a');
	p[1] = 'X';
	CHECK_THAT("the file keeps its own", pread(fd, &byte, 1, 1) == 1 && byte == 'b');
	MUST(pwrite(fd, "ABC", 3, 0) == 3);
	CHECK_THAT("the copy keeps what it had", p[0] == 'a' && p[1] == 'X' && p[2] == 'c');
	MUST(pwrite(fd, "later", 5, PAGE) == 5);
	CHECK_THAT("a page not yet copied shows the file", p[PAGE] == 'l');
	munmap(p, NR * PAGE);
}

static void truncation(int fd)
{
	char *p = map_file(fd, MAP_SHARED, NR, 0), *q = map_file(fd, MAP_PRIVATE, NR, 0);

	memset(p, 7, NR * PAGE);
	q[6 * PAGE] = 9;
	CHECK_EQ(ftruncate(fd, 2 * PAGE + 100), 0);
	CHECK(CATCH(peek(p + 2 * PAGE + 50)) == 0 && p[2 * PAGE + 50] == 7);
	CHECK_THAT("the rest of the last page is zero", p[2 * PAGE + 100] == 0 && p[3 * PAGE - 1] == 0);
	CHECK(CATCH(peek(p + 3 * PAGE)) == SIGBUS && caught.code == BUS_ADRERR && caught_at(p + 3 * PAGE));
	CHECK_EQ(CATCH(poke(p + NR * PAGE - 1, 1)), SIGBUS);
	CHECK_EQ(CATCH(peek(q + 4 * PAGE)), SIGBUS);
	CHECK_THAT("private copies go as well", CATCH(peek(q + 6 * PAGE)) == SIGBUS);
	CHECK_EQ(ftruncate(fd, NR * PAGE), 0);
	CHECK_THAT("what comes back is zero", CATCH(peek(p + 5 * PAGE)) == 0 && p[5 * PAGE] == 0 && q[6 * PAGE] == 0);
	munmap(p, NR * PAGE);
	munmap(q, NR * PAGE);
}

static int child_writes(void *arg)
{
	char *p = arg;

	p[0]++;
	p[7 * PAGE] = 'c';
	return p[PAGE] == 'l' || p[PAGE] == 0 ? 0 : 1;
}

static void over_fork(int fd)
{
	char *p = map_file(fd, MAP_SHARED, NR, 0);
	char before = p[0];

	CHECK_EQ(run_child(child_writes, p), 0);
	CHECK(p[0] == before + 1 && p[7 * PAGE] == 'c');
	munmap(p, NR * PAGE);
}

static void everything(int fd)
{
	shared(fd);
	private(fd);
	over_fork(fd);
	truncation(fd);
	close(fd);
}

static int add_one(void *arg)
{
	++*(char *)arg;
	return 0;
}

static void zero_device(void)
{
	int fd = open("/dev/zero", O_RDWR);
	char *p, *q;

	section("/dev/zero");
	MUST(fd >= 0);
	p = map_file(fd, MAP_PRIVATE, 2, 0);
	q = map_file(fd, MAP_SHARED, 2, 0);
	CHECK(p[0] == 0 && q[0] == 0);
	p[0] = q[PAGE] = 1;
	CHECK(p[0] == 1 && q[PAGE] == 1 && p[PAGE] == 0 && q[0] == 0);
	CHECK_EQ(run_child(add_one, q), 0);
	CHECK_THAT("the shared one is shared with a child", q[0] == 1);
	close(fd);
	munmap(p, 2 * PAGE);
	munmap(q, 2 * PAGE);
}

static int file_of_threads;

static void *grow_and_check(void *arg)
{
	intptr_t id = (intptr_t)arg, bad = 0;
	char *p = map_file(file_of_threads, MAP_SHARED, 64, 0);

	for (int round = 0; round < 50; round++)
		for (int page = id; page < 64; page += 4) {
			bad += (unsigned char)p[page * PAGE + id] != (round & 0xff);
			p[page * PAGE + id] = round + 1;
		}
	munmap(p, 64 * PAGE);
	return (void *)bad;
}

static void threads(void)
{
	pthread_t thread[4];
	long bad = 0;
	void *value;

	section("four threads, four mappings of one file");
	file_of_threads = new_file(64 * PAGE);
	for (intptr_t i = 0; i < 4; i++)
		MUST(pthread_create(&thread[i], NULL, grow_and_check, (void *)i) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &value);
		bad += (intptr_t)value;
	}
	CHECK_EQ(bad, 0);
	close(file_of_threads);
}

/* Returns true if a write to the page changes both times of the file. After 20 ms a clock shows a different time. */
static bool moves_times(int fd, char *page)
{
	struct stat before, after;

	MUST(fstat(fd, &before) == 0);
	usleep(20000);
	poke(page, 1);
	MUST(fstat(fd, &after) == 0);
	return memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)) &&
	       memcmp(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
}

/* As on Linux, only a write fault changes the times: neither a write without a fault nor msync does. */
static void times(int fd)
{
	static const struct timespec past[2] = { { 1000, 5 }, { 2000, 7 } };
	char *p = map_file(fd, MAP_SHARED, NR, 0), *other = map_file(fd, MAP_PRIVATE, NR, 0);
	struct stat st;

	CHECK(moves_times(fd, p));
	CHECK(!moves_times(fd, p));
	CHECK(msync(p, PAGE, MS_SYNC) == 0 && !moves_times(fd, p));
	CHECK(!moves_times(fd, other));
	CHECK(moves_times(fd, p + 4 * PAGE));
	CHECK(futimens(fd, past) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7);
	poke(p + 5 * PAGE, 1);
	CHECK(futimens(fd, past) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 2000);
	MUST(munmap(p, NR * PAGE) == 0 && munmap(other, NR * PAGE) == 0);
}

static void times_of_writes(void)
{
	char path[] = "/dev/shm/times-XXXXXX";
	int shm = mkstemp(path);
	int memfd = syscall(SYS_memfd_create, "times", 0);

	section("times of mapped writes");
	MUST(shm >= 0 && unlink(path) == 0 && ftruncate(shm, NR * PAGE) == 0);
	MUST(memfd >= 0 && ftruncate(memfd, NR * PAGE) == 0);
	times(shm);
	times(memfd);
}

int main(void)
{
	int memfd = syscall(SYS_memfd_create, "test", 0);

	mkdir("/tmp", 01777);
	catch_faults(0);
	section("a file in /tmp");
	everything(new_file(NR * PAGE));
	section("memfd");
	MUST(memfd >= 0 && ftruncate(memfd, NR * PAGE) == 0);
	everything(memfd);
	zero_device();
	times_of_writes();
	threads();
	return check_done();
}
