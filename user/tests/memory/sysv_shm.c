/* SPDX-License-Identifier: MIT */
/* Tests System V shared memory: segments with and without a key, attaching, detaching, deferred removal, errors. */
#include "user/lib/check.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#define NOBODY 65534
#define KEY 0x46004c01 /* hopefully of no other program */
#define NO_PLACE ((void *)-1)

static struct shmid_ds status_of(int id)
{
	struct shmid_ds status;

	MUST(shmctl(id, IPC_STAT, &status) == 0);
	return status;
}

static int new_segment(size_t size)
{
	int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);

	MUST(id >= 0);
	return id;
}

static void sharing(void)
{
	int id = new_segment(3 * PAGE), status;
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
	pid_t pid;

	section("one memory in two places and two processes");
	MUST(a != NO_PLACE && b != NO_PLACE);
	a[PAGE] = 'a';
	CHECK(b[PAGE] == 'a' && b[2 * PAGE] == 0);
	CHECK_EQ(CATCH(poke(b, 1)), SIGSEGV);
	CHECK_ERRNO(mprotect(b, PAGE, PROT_READ | PROT_WRITE), EACCES);
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		a[0] = 'c';
		_exit(status_of(id).shm_nattch == 4 ? 0 : 1);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	CHECK(a[0] == 'c' && b[0] == 'c');
	CHECK_EQ(shmdt(b), 0);
	CHECK_EQ(status_of(id).shm_nattch, 1);
	CHECK(status_of(id).shm_cpid == getpid() && status_of(id).shm_lpid == getpid());
	CHECK(status_of(id).shm_segsz == 3 * PAGE && (status_of(id).shm_perm.mode & 0777) == 0600);
	CHECK_EQ(shmdt(a), 0);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

static void removal(void)
{
	int id = new_segment(PAGE);
	char *a = shmat(id, NULL, 0), *b;

	section("removed while attached");
	MUST(a != NO_PLACE);
	a[7] = 7;
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK(status_of(id).shm_perm.mode & SHM_DEST);
	b = shmat(id, NULL, 0);
	CHECK(b != NO_PLACE && b[7] == 7);
	CHECK_EQ(shmdt(a), 0);
	CHECK_EQ(shmdt(b), 0);
	CHECK_ERRNO(shmctl(id, IPC_STAT, &(struct shmid_ds){ 0 }), EINVAL);
	CHECK_ERRNO(shmat(id, NULL, 0), EINVAL);
	CHECK_ERRNO(shmdt(a), EINVAL);
}

static void keys(void)
{
	int id = shmget(KEY, 2 * PAGE, IPC_CREAT | IPC_EXCL | 0600), again;

	section("keys");
	MUST(id >= 0);
	CHECK_EQ(shmget(KEY, PAGE, 0), id);
	CHECK_EQ(shmget(KEY, 0, IPC_CREAT | 0600), id);
	CHECK_ERRNO(shmget(KEY, PAGE, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_ERRNO(shmget(KEY, 3 * PAGE, 0), EINVAL);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_ERRNO(shmget(KEY, PAGE, 0), ENOENT);
	again = shmget(KEY, PAGE, IPC_CREAT | 0600);
	CHECK(again >= 0 && again != id);
	CHECK_EQ(shmctl(again, IPC_RMID, NULL), 0);
	CHECK_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERRNO(shmget(IPC_PRIVATE, (size_t)-1, 0600), EINVAL);
}

static void places(void)
{
	int id = new_segment(2 * PAGE);
	char *place = map_island(4, PROT_READ | PROT_WRITE), *p;

	section("places");
	CHECK(shmat(id, place + 1, 0) == NO_PLACE && errno == EINVAL);
	CHECK_THAT("shmat fails where memory is mapped already", shmat(id, place, 0) == NO_PLACE && errno == EINVAL);
	CHECK(shmat(id, NULL, SHM_REMAP) == NO_PLACE && errno == EINVAL);
	CHECK(shmat(id, place + 1, SHM_RND | SHM_REMAP) == place);
	place[PAGE] = 'x';
	CHECK_ERRNO(shmdt(place + PAGE), EINVAL);
	CHECK_ERRNO(shmdt(place + 1), EINVAL);
	p = mmap(place, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	MUST(p == place);
	p[0] = 'p';
	CHECK_EQ(status_of(id).shm_nattch, 1);
	CHECK_EQ(shmdt(place), 0);
	CHECK_EQ(status_of(id).shm_nattch, 0);
	CHECK_THAT("what has been mapped over it stays", p[0] == 'p');
	CHECK_EQ(CATCH(poke(place + PAGE, 1)), SIGSEGV);
	p = shmat(id, NULL, 0);
	CHECK(p != NO_PLACE && p[PAGE] == 'x');
	MUST(mprotect(p, PAGE, PROT_READ) == 0);
	CHECK_EQ(status_of(id).shm_nattch, 2);
	CHECK_EQ(shmdt(p), 0);
	CHECK_EQ(status_of(id).shm_nattch, 0);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

static void errors(void)
{
	int id = new_segment(PAGE);
	struct shmid_ds status;

	section("errors");
	CHECK_ERRNO(shmat(-1, NULL, 0), EINVAL);
	CHECK_ERRNO(shmctl(-1, IPC_STAT, &status), EINVAL);
	CHECK_ERRNO(shmctl(id, 99, &status), EINVAL);
	CHECK_ERRNO(syscall(SYS_shmctl, id, IPC_STAT, (void *)8), EFAULT);
	CHECK_ERRNO(syscall(SYS_shmctl, id, IPC_SET, (void *)8), EFAULT);
	CHECK_ERRNO(shmdt(map_pages(1, PROT_READ)), EINVAL);
	status = status_of(id);
	status.shm_perm.mode = 0640;
	CHECK_EQ(shmctl(id, IPC_SET, &status), 0);
	CHECK_EQ(status_of(id).shm_perm.mode & 0777, 0640);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

static void of_others(void)
{
	int id = new_segment(PAGE), status;
	pid_t pid;

	section("another user's segment");
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		bool changed = !geteuid() && !setgid(NOBODY) && !setuid(NOBODY);

		CHECK(!changed || (shmat(id, NULL, SHM_RDONLY) == NO_PLACE && errno == EACCES));
		CHECK(!changed || (shmctl(id, IPC_STAT, &(struct shmid_ds){ 0 }) == -1 && errno == EACCES));
		CHECK(!changed || (shmctl(id, IPC_RMID, NULL) == -1 && errno == EPERM));
		_exit(checks_failed != 0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

/* The process exits with a removed segment attached: the kernel's check at the end must not report a leak. */
static void left_attached(void)
{
	int id = new_segment(64 * PAGE);
	char *p = shmat(id, NULL, 0);

	section("attached at the end");
	MUST(p != NO_PLACE && shmctl(id, IPC_RMID, NULL) == 0);
	memset(p, 1, 64 * PAGE);
	CHECK_EQ(p[63 * PAGE], 1);
}

int main(void)
{
	catch_faults(0);
	sharing();
	removal();
	keys();
	places();
	errors();
	of_others();
	left_attached();
	return check_done();
}
