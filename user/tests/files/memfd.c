/* SPDX-License-Identifier: MIT */
/* Tests memfd_create, sealing, and what truncation and hole punching do to mappings of the file. */
#include "user/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

static void naming(void)
{
	char name[260];
	struct stat st;
	int fd;

	section("memfd_create");
	memset(name, 'x', sizeof(name));
	name[250] = 0;
	CHECK_ERRNO(memfd_create(name, 0), EINVAL);
	name[249] = 0;
	fd = memfd_create(name, MFD_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	MUST(fstat(fd, &st) == 0);
	CHECK(S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 0);
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	close(fd);
	CHECK_ERRNO(memfd_create("x", 0x1000), EINVAL);
	CHECK_ERRNO(memfd_create((char *)8, 0), EFAULT);
}

static void seals(void)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	char *p;

	section("seals");
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	MUST(ftruncate(fd, 2 * PAGE) == 0);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	CHECK_ERRNO(ftruncate(fd, 3 * PAGE), EPERM);
	CHECK_ERRNO(pwrite(fd, "x", 1, 2 * PAGE), EPERM);
	CHECK_ERRNO(fallocate(fd, 0, 0, 3 * PAGE), EPERM);
	CHECK_EQ(pwrite(fd, "x", 1, PAGE), 1);
	CHECK_EQ(ftruncate(fd, PAGE), 0);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	CHECK_ERRNO(ftruncate(fd, 0), EPERM);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	p[0] = 1;
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	p[0] = 2;
	munmap(p, PAGE);
	CHECK_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	CHECK_ERRNO(fcntl(fd, F_GET_SEALS), EINVAL);
	close(fd);
}

static void shrinking(void)
{
	int fd = memfd_create("shrink", 0);
	char *shared, *private;

	section("truncation under a mapping");
	catch_faults(0);
	MUST(ftruncate(fd, 4 * PAGE) == 0);
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(shared != MAP_FAILED && private != MAP_FAILED);
	memset(shared, 'a', 4 * PAGE);
	poke(private + 3 * PAGE, 'p');
	CHECK_EQ(peek(private + PAGE), 'a');
	MUST(ftruncate(fd, PAGE + 10) == 0);
	CHECK_EQ(peek(shared + PAGE + 9), 'a');
	CHECK_EQ(peek(shared + PAGE + 10), 0);
	CHECK_EQ(peek(private + PAGE + 10), 0);
	CHECK_EQ(CATCH(peek(shared + 2 * PAGE)), SIGBUS);
	CHECK(caught.code == BUS_ADRERR && caught_at(shared + 2 * PAGE));
	CHECK_EQ(CATCH(peek(private + 3 * PAGE)), SIGBUS);
	CHECK_EQ(CATCH(poke(shared + 3 * PAGE, 1)), SIGBUS);
	MUST(ftruncate(fd, 4 * PAGE) == 0);
	CHECK_EQ(peek(shared + 2 * PAGE), 0);
	CHECK_EQ(peek(private + 3 * PAGE), 0);
	poke(shared + 3 * PAGE, 'n');
	CHECK_EQ(peek(private + 3 * PAGE), 'n');
	poke(private + 2 * PAGE, 'c');
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 3 * PAGE), 0);
	CHECK_EQ(peek(shared + PAGE), 0);
	CHECK_EQ(peek(shared + 3 * PAGE), 0);
	CHECK_EQ(peek(private + 2 * PAGE), 'c');
	CHECK_EQ(peek(shared), 'a');
	munmap(shared, 4 * PAGE);
	munmap(private, 4 * PAGE);
	close(fd);
}

/* MADV_REMOVE is fallocate() of the file, and makes the same checks. */
static void remove_advice(void)
{
	int fd = memfd_create("removed", MFD_ALLOW_SEALING);
	struct stat before, after;
	char *p;

	section("MADV_REMOVE");
	MUST(ftruncate(fd, 4 * PAGE) == 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	memset(p, 'a', 4 * PAGE);
	MUST(fstat(fd, &before) == 0);
	CHECK_EQ(madvise(p + PAGE, 2 * PAGE, MADV_REMOVE), 0);
	MUST(fstat(fd, &after) == 0);
	CHECK_EQ(before.st_blocks - after.st_blocks, 2 * PAGE / 512);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[3 * PAGE], 'a');
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	p[0] = 'b';
	CHECK_ERRNO(madvise(p, PAGE, MADV_REMOVE), EPERM);
	CHECK_EQ(p[0], 'b');
	munmap(p, 4 * PAGE);
	close(fd);
}

/* read() and write() with a buffer that is a mapping beyond the end of its file. */
static void beyond_the_end(void)
{
	int fd = memfd_create("end", 0), other = memfd_create("other", 0);
	char *p;

	section("calls on a mapping beyond the end");
	MUST(ftruncate(fd, PAGE) == 0 && ftruncate(other, 2 * PAGE) == 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	CHECK_EQ(pread(other, p, 2 * PAGE, 0), PAGE);
	CHECK_EQ(pwrite(other, p, 2 * PAGE, 0), PAGE);
	CHECK_ERRNO(pread(other, p + PAGE, PAGE, 0), EFAULT);
	CHECK_ERRNO(pwrite(other, p + PAGE, PAGE, 0), EFAULT);
	munmap(p, 2 * PAGE);
	close(fd);
	close(other);
}

/* One thread maps the file in round after round, another seals it. */
#define ROUNDS 400
static struct {
	int fd, begun, ended; /* the last two: numbers of rounds, atomic */
	char *mapped;
} race;

static void *map_each_round(void *unused)
{
	for (int round = 1; round <= ROUNDS; round++) {
		while (__atomic_load_n(&race.begun, __ATOMIC_ACQUIRE) < round)
			sched_yield();
		race.mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, race.fd, 0);
		__atomic_store_n(&race.ended, round, __ATOMIC_RELEASE);
	}
	return unused;
}

static void seal_against_mmap(void)
{
	int sealed_and_mapped = 0;
	pthread_t mapper;

	section("F_SEAL_WRITE against mmap()");
	MUST(pthread_create(&mapper, NULL, map_each_round, NULL) == 0);
	for (int round = 1; round <= ROUNDS; round++) {
		bool sealed;

		race.fd = memfd_create("race", MFD_ALLOW_SEALING);
		MUST(race.fd >= 0 && ftruncate(race.fd, PAGE) == 0);
		__atomic_store_n(&race.begun, round, __ATOMIC_RELEASE);
		for (volatile int delay = round % 100 * 20; delay; delay--)
			continue;
		sealed = fcntl(race.fd, F_ADD_SEALS, F_SEAL_WRITE) == 0;
		while (__atomic_load_n(&race.ended, __ATOMIC_ACQUIRE) < round)
			sched_yield();
		sealed_and_mapped += sealed && race.mapped != MAP_FAILED;
		if (race.mapped != MAP_FAILED)
			munmap(race.mapped, PAGE);
		close(race.fd);
	}
	pthread_join(mapper, NULL);
	CHECK_EQ(sealed_and_mapped, 0);
}

int main(void)
{
	naming();
	seals();
	seal_against_mmap();
	shrinking();
	remove_advice();
	beyond_the_end();
	return check_done();
}
