/* SPDX-License-Identifier: MIT */
/*
 * A seeded fuzzer of all system calls except those on files (user/fuzz/file_fuzz.c), with plausible and absurd
 * arguments. Any bad outcome is the kernel's fault.
 *
 * Arguments: seed (1), number of children (40), calls for each thread (300).
 */
#include "user/lib/fuzzer.h"

#include <sys/resource.h>

#define ARENA_PAGES 256

static char *arena; /* plausible pointers point into it */

/* --- random values ---------------------------------------------------------------------------------------------- */

/* Kinds of arguments. */
enum kind {
	END,
	ADDRESS,
	PAGES,
	LENGTH,
	PROTECTION,
	MAP_FLAGS,
	FILE_FLAGS,
	REMAP_FLAGS,
	ADVICE,
	FD,
	NUMBER,
	SMALL,
	SIGNAL,
	MASK
};

static uint64_t argument(uint64_t *r, enum kind kind)
{
	uint64_t page = (uint64_t)arena + draw(r, ARENA_PAGES) * PAGE;

	if (draw(r, 12) == 0)
		return draw_absurd(r);
	switch (kind) {
	case ADDRESS:
		return draw(r, 4) ? page + draw(r, PAGE / 8) * 8 : page + PAGE - draw(r, 9);
	case PAGES:
		return draw(r, 16) ? page : page + draw(r, PAGE);
	case LENGTH:
		return draw(r, 4) ? (1 + draw(r, 40)) * PAGE : draw(r, 1 << 20);
	case PROTECTION:
		return draw(r, 8);
	case MAP_FLAGS:
		return MAP_FIXED | MAP_ANONYMOUS | (draw(r, 4) ? MAP_PRIVATE : MAP_SHARED) |
		       (draw(r, 3) ? 0 : 1UL << draw(r, 21));
	case FILE_FLAGS:
		return MAP_FIXED | (draw(r, 2) ? MAP_PRIVATE : MAP_SHARED) | (draw(r, 4) ? 0 : MAP_POPULATE);
	case REMAP_FLAGS:
		return draw(r, 5);
	case ADVICE:
		return draw(r, 8) ? draw(r, 26) : splitmix64(r);
	case FD:
		return 3 + draw(r, 12);
	case SMALL:
		return draw(r, 16);
	case SIGNAL:
		return draw(r, 66);
	case MASK:
		return splitmix64(r) & splitmix64(r);
	default:
		return splitmix64(r) >> draw(r, 64);
	}
}

/* --- calls ------------------------------------------------------------------------------------------------------ */

struct call {
	int nr;
	int weight;
	enum kind argument[6];
};

/* Calls that end the program, sleep for ever by design, or affect other processes (kill) are left out. */
static const struct call calls[] = {
	{ SYS_mmap, 20, { PAGES, LENGTH, PROTECTION, MAP_FLAGS, FD, PAGES } },
	{ SYS_mmap, 10, { PAGES, LENGTH, PROTECTION, FILE_FLAGS, FD, END } },
	{ SYS_munmap, 12, { PAGES, LENGTH } },
	{ SYS_mprotect, 15, { PAGES, LENGTH, PROTECTION } },
	{ SYS_mremap, 12, { PAGES, LENGTH, LENGTH, REMAP_FLAGS, PAGES } },
	{ SYS_madvise, 12, { PAGES, LENGTH, ADVICE } },
	{ SYS_mincore, 3, { PAGES, LENGTH, ADDRESS } },
	{ SYS_msync, 2, { PAGES, LENGTH, SMALL } },
	{ SYS_brk, 4, { NUMBER } },
	{ SYS_mlock, 1, { PAGES, LENGTH } },
	{ SYS_munlock, 1, { PAGES, LENGTH } },
	{ SYS_read, 4, { FD, ADDRESS, LENGTH } },
	{ SYS_write, 4, { FD, ADDRESS, LENGTH } },
	{ SYS_readv, 2, { FD, ADDRESS, SMALL } },
	{ SYS_writev, 2, { FD, ADDRESS, SMALL } },
	{ SYS_pread64, 1, { FD, ADDRESS, LENGTH, NUMBER } },
	{ SYS_lseek, 1, { FD, NUMBER, SMALL } },
	{ SYS_open, 2, { ADDRESS, NUMBER, SMALL } },
	{ SYS_close, 2, { FD } },
	{ SYS_dup, 1, { FD } },
	{ SYS_dup2, 1, { FD, FD } },
	{ SYS_dup3, 1, { FD, FD, NUMBER } },
	{ SYS_fcntl, 1, { FD, SMALL, NUMBER } },
	{ SYS_ioctl, 1, { FD, NUMBER, ADDRESS } },
	{ SYS_pipe2, 2, { ADDRESS, NUMBER } },
	{ SYS_fstat, 1, { FD, ADDRESS } },
	{ SYS_getdents64, 1, { FD, ADDRESS, LENGTH } },
	{ SYS_poll, 1, { ADDRESS, SMALL, SMALL } },
	{ SYS_futex, 8, { ADDRESS, SMALL, SMALL, ADDRESS, ADDRESS, NUMBER } },
	{ SYS_sched_yield, 2, { END } },
	{ SYS_sched_setaffinity, 1, { END, SMALL, ADDRESS } },
	{ SYS_sched_getaffinity, 1, { END, LENGTH, ADDRESS } },
	{ SYS_clock_gettime, 1, { SMALL, ADDRESS } },
	{ SYS_clock_getres, 1, { SMALL, ADDRESS } },
	{ SYS_gettimeofday, 1, { ADDRESS, ADDRESS } },
	{ SYS_getrusage, 1, { NUMBER, ADDRESS } },
	{ SYS_prlimit64, 1, { END, SMALL, END, ADDRESS } },
	{ SYS_getrandom, 1, { ADDRESS, LENGTH, SMALL } },
	{ SYS_uname, 1, { ADDRESS } },
	{ SYS_sysinfo, 1, { ADDRESS } },
	{ SYS_rt_sigaction, 2, { SIGNAL, ADDRESS, ADDRESS, SMALL } },
	{ SYS_rt_sigprocmask, 2, { SMALL, ADDRESS, ADDRESS, SMALL } },
	{ SYS_rt_sigpending, 1, { ADDRESS, SMALL } },
	{ SYS_sigaltstack, 1, { ADDRESS, ADDRESS } },
	{ SYS_set_tid_address, 1, { ADDRESS } },
	{ SYS_set_robust_list, 1, { ADDRESS, SMALL } },
	{ SYS_prctl, 1, { NUMBER, NUMBER, NUMBER, NUMBER, NUMBER } },
	{ SYS_arch_prctl, 1, { SMALL, NUMBER } },
	{ SYS_membarrier, 1, { NUMBER, SMALL } },
	{ SYS_execve, 1, { ADDRESS, ADDRESS, ADDRESS } },
	{ SYS_wait4, 1, { NUMBER, ADDRESS, NUMBER, ADDRESS } },
	{ SYS_clone, 2, { NUMBER, END, ADDRESS, ADDRESS, NUMBER } },
	{ SYS_memfd_create, 2, { ADDRESS, SMALL } },
	{ SYS_ftruncate, 2, { FD, NUMBER } },
	{ SYS_fallocate, 2, { FD, SMALL, NUMBER, LENGTH } },
	{ SYS_eventfd2, 1, { SMALL, NUMBER } },
	{ SYS_pidfd_open, 1, { NUMBER, SMALL } },
	{ SYS_mlockall, 1, { SMALL } },
	{ SYS_munlockall, 1, { END } },
	{ SYS_mlock2, 1, { PAGES, LENGTH, SMALL } },
	{ SYS_pkey_mprotect, 1, { PAGES, LENGTH, PROTECTION, NUMBER } },
	{ SYS_timer_create, 1, { SMALL, ADDRESS, ADDRESS } },
	{ SYS_timer_settime, 1, { SMALL, SMALL, ADDRESS, ADDRESS } },
	{ SYS_timer_delete, 1, { SMALL } },
	{ SYS_setitimer, 1, { SMALL, ADDRESS, ADDRESS } },
	{ SYS_getitimer, 1, { SMALL, ADDRESS } },
	{ SYS_nanosleep, 1, { ADDRESS, ADDRESS } },
	{ SYS_rt_sigtimedwait, 1, { ADDRESS, ADDRESS, ADDRESS, SMALL } },
	{ SYS_waitid, 1, { SMALL, NUMBER, ADDRESS, NUMBER } },
	{ SYS_select, 1, { SMALL, ADDRESS, ADDRESS, ADDRESS, ADDRESS } },
	{ SYS_preadv, 1, { FD, ADDRESS, SMALL, NUMBER } },
	{ SYS_pwritev, 1, { FD, ADDRESS, SMALL, NUMBER } },
	{ SYS_sysinfo, 1, { ADDRESS } },
	{ SYS_getgroups, 1, { SMALL, ADDRESS } },
	{ SYS_process_madvise, 1, { FD, ADDRESS, SMALL, ADVICE, SMALL } },
	{ SYS_process_vm_writev, 1, { NUMBER, ADDRESS, SMALL, ADDRESS, SMALL, SMALL } },
	{ SYS_process_vm_readv, 1, { NUMBER, ADDRESS, SMALL, ADDRESS, SMALL, SMALL } },
};

static int total_weight; /* of the calls; constant once there are children */

static void add_weights(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		total_weight += calls[i].weight;
}

static const struct call *pick_call(uint64_t *r)
{
	int n = draw(r, total_weight);

	for (const struct call *c = calls;; c++)
		if ((n -= c->weight) < 0)
			return c;
}

/*
 * clone may only make a process that shares nothing and exits at once: a shared stack would not outlive the call.
 * Threads and vfork are left to other programs.
 */
#define CLONE_FLAGS_ALLOWED (0xffUL | 0x00100000UL | 0x01000000UL | 0x00200000UL)

static void one_call(uint64_t *r)
{
	const struct call *c = pick_call(r);
	uint64_t a[6];
	long result;

	for (int i = 0; i < 6; i++)
		a[i] = c->argument[i] == END ? 0 : argument(r, c->argument[i]);
	if (c->nr == SYS_clone)
		a[0] = (a[0] & CLONE_FLAGS_ALLOWED & ~0x3fUL) | SIGCHLD, a[1] = 0;
	if (c->nr == SYS_wait4 || c->nr == SYS_waitid)
		a[c->nr == SYS_wait4 ? 2 : 3] |= WNOHANG;
	result = syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (c->nr == SYS_clone && result == 0)
		syscall(SYS_exit_group, 0);
}

/* --- children --------------------------------------------------------------------------------------------------- */

/* Reads or writes somewhere in the arena, and catches the signal that this may raise. */
static void touch(uint64_t *r)
{
	char *p = arena + draw(r, ARENA_PAGES * PAGE);

	if (draw(r, 2))
		(void)CATCH(poke(p, 1));
	else
		(void)CATCH(peek(p));
}

static void *fuzz(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg;

	for (long i = 0; i < nr_calls; i++) {
		one_call(&r);
		touch(&r);
	}
	return NULL;
}

static int child(long number)
{
	stack_t ss = { .ss_sp = map_pages(8, PROT_READ | PROT_WRITE), .ss_size = 8 * PAGE };

	sigaltstack(&ss, NULL);
	catch_faults(SA_ONSTACK);
	setrlimit(RLIMIT_AS, &(struct rlimit){ 64 << 20, 64 << 20 });
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 32, 32 });
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	arena = map_pages(ARENA_PAGES, PROT_READ | PROT_WRITE);
	return fuzz_in_threads(number, fuzz);
}

int main(int argc, char **argv)
{
	nr_calls = 300;
	add_weights();
	return fuzzer_main((struct fuzzer){ "fuzz", child, .seconds = 1, .nr_children = 40 }, argc, argv);
}
