/* SPDX-License-Identifier: MIT */
/*
 * Tests memory below mmap_min_addr, where a kernel that follows a NULL pointer would read.
 *
 * Root may map it. Other users may not, by any call, and a refused call changes nothing.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <sys/shm.h>

#define NOBODY 65534
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define MOVE_TO (MREMAP_MAYMOVE | MREMAP_FIXED)

static char *const lowest = (char *)65536; /* mmap_min_addr */

static char *at(unsigned page)
{
	return (char *)(page * PAGE);
}

static void *map_at(void *addr, size_t nr, int flags)
{
	return mmap(addr, nr * PAGE, RW, ANON | flags, -1, 0);
}

/* Requests that are refused before the caller's privileges are checked. */
static void refused_anyway(void)
{
	CHECK_ERRNO(map_at(at(3) + 1, 1, MAP_FIXED), EINVAL);
	CHECK_ERRNO(mmap(at(3), -PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
}

static void not_low(void)
{
	CHECK_THAT("mmap_min_addr itself is no low address", map_at(lowest, 1, MAP_FIXED) == lowest);
	CHECK_ERRNO(map_at(lowest, 1, MAP_FIXED_NOREPLACE), EEXIST);
	CHECK_THAT("a low hint is raised", map_at(at(3), 1, 0) >= (void *)lowest);
	CHECK_THAT("... to mmap_min_addr", munmap(lowest, PAGE) == 0 && map_at(at(3), 1, 0) == lowest);
	CHECK(munmap(lowest, PAGE) == 0);
	/* A stack does not grow there, not even for root. */
	CHECK(map_at(lowest, 1, MAP_FIXED | MAP_GROWSDOWN) == lowest);
	CHECK(CATCH(poke(lowest - PAGE, 1)) == SIGSEGV && caught.code == SEGV_MAPERR);
	CHECK(munmap(lowest, PAGE) == 0);
}

static void of_root(void)
{
	char *p = map_pages(2, RW);
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);

	section("root");
	refused_anyway();
	not_low();
	CHECK(map_at(NULL, 1, MAP_FIXED) == NULL);
	CHECK(CATCH(poke(at(0) + 8, 1)) == 0);
	CHECK_ERRNO(map_at(NULL, 1, MAP_FIXED_NOREPLACE), EEXIST);
	CHECK(munmap(NULL, PAGE) == 0);
	CHECK(mremap(p, PAGE, PAGE, MOVE_TO, at(2)) == at(2));
	CHECK(munmap(at(2), PAGE) == 0);
	CHECK(shmat(id, at(4), 0) == at(4));
	CHECK_THAT("page 0 may be named by its fifth byte", shmat(id, at(0) + 5, SHM_RND) == at(0));
	CHECK(shmdt(at(4)) == 0);
	CHECK(munmap(NULL, PAGE) == 0);
	shmctl(id, IPC_RMID, NULL);
}

static void of_nobody(void)
{
	char *p = map_pages(2, RW);
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600), fd = open("/proc/sys/vm/mmap_min_addr", O_WRONLY);

	section("nobody");
	refused_anyway();
	not_low();
	fill_pages(p, 2, 7);
	CHECK_ERRNO(map_at(NULL, 1, MAP_FIXED), EPERM);
	CHECK_ERRNO(map_at(lowest - PAGE, 2, MAP_FIXED), EPERM);
	CHECK_ERRNO(map_at(lowest - PAGE, 1, MAP_FIXED_NOREPLACE), EPERM);
	CHECK_ERRNO(map_at(lowest - PAGE, 1, MAP_FIXED | MAP_GROWSDOWN), EPERM);
	CHECK_ERRNO(mremap(p, PAGE, PAGE, MOVE_TO, at(2)), EPERM);
	CHECK_ERRNO(mremap(p, PAGE, 2 * PAGE, MOVE_TO, lowest - PAGE), EPERM);
	CHECK_ERRNO(shmat(id, at(4), 0), EPERM);
	CHECK_ERRNO(shmat(id, at(4), SHM_REMAP), EPERM);
	CHECK_ERRNO(shmat(id, at(0) + 5, SHM_RND), EPERM);
	CHECK(pages_hold(p, 2, 7));
	CHECK(CATCH(peek(at(0))) == SIGSEGV);
	CHECK_THAT("another user cannot change the limit", fd < 0 || (write(fd, "0\n", 2) == -1 && errno == EPERM));
	shmctl(id, IPC_RMID, NULL);
}

/*
 * A mapping that root has made there remains usable after the process becomes another user's. It cannot grow, nor be
 * made again.
 */
static void once_root(void)
{
	section("nobody, once root");
	CHECK_ERRNO(mremap(at(2), PAGE, 2 * PAGE, 0), ENOMEM);
	CHECK_ERRNO(map_at(at(2), 1, MAP_FIXED), EPERM);
	CHECK(CATCH(poke(at(2), 1)) == 0);
	CHECK(munmap(at(2), PAGE) == 0);
	CHECK_ERRNO(map_at(at(2), 1, MAP_FIXED), EPERM);
}

int main(void)
{
	bool was_root = geteuid() == 0;

	catch_faults(0);
	if (was_root) {
		of_root();
		MUST(map_at(at(2), 1, MAP_FIXED) == at(2));
		MUST(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
		once_root();
	}
	of_nobody();
	return check_done();
}
