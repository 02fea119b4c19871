/* SPDX-License-Identifier: MIT */
/*
 * A seeded syscall fuzzer. Processes with several threads each make random calls with plausible and absurd arguments;
 * they may kill themselves, lose their memory or hang, and are replaced. The parent only counts, so its own memory is
 * never at stake: what ends badly here is the kernel's fault.
 *
 * Arguments: seed (1), number of children (40), calls for each thread (300). A child's calls depend on the seed and its
 * number alone. It prints the seed, so that a failure can be replayed, and ends by itself.
 */
#include "user/check.h"

#include <pthread.h>
#include <sys/resource.h>

#define NR_THREADS 3
#define CHILD_SECONDS 1
#define ARENA_PAGES 256

static uint64_t seed = 1;
static long nr_children = 40, nr_calls = 300;
static char *arena; /* what plausible pointers point into */

/* --- random values ---------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15); /* splitmix64, Steele et al. 2014 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t limit)
{
	return next_random(state) % limit;
}

static const uint64_t absurd[] = {
	0,
	1,
	7,
	4095,
	4096,
	4097,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x7ffffffff000,
	0x7fffffffefff,
	0x800000000000,
	0xffff800000000000,
	0xffff888000000000,
	0xffffffff80000000,
	0xfffffffffffff000,
	0xffffffffffffffff,
	0x8000000000000000,
	0x7fffffffffffffff,
	1UL << 47,
	1UL << 46,
	1UL << 39,
	1UL << 30,
};

static uint64_t pick_absurd(uint64_t *r)
{
	return absurd[below(r, sizeof(absurd) / sizeof(absurd[0]))];
}

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
	uint64_t page = (uint64_t)arena + below(r, ARENA_PAGES) * PAGE;

	if (below(r, 12) == 0)
		return pick_absurd(r);
	switch (kind) {
	case ADDRESS:
		return below(r, 4) ? page + below(r, PAGE / 8) * 8 : page + PAGE - below(r, 9);
	case PAGES:
		return below(r, 16) ? page : page + below(r, PAGE);
	case LENGTH:
		return below(r, 4) ? (1 + below(r, 40)) * PAGE : below(r, 1 << 20);
	case PROTECTION:
		return below(r, 8);
	case MAP_FLAGS:
		return MAP_FIXED | MAP_ANONYMOUS | (below(r, 4) ? MAP_PRIVATE : MAP_SHARED) |
		       (below(r, 3) ? 0 : 1UL << below(r, 21));
	case FILE_FLAGS:
		return MAP_FIXED | (below(r, 2) ? MAP_PRIVATE : MAP_SHARED) | (below(r, 4) ? 0 : MAP_POPULATE);
	case REMAP_FLAGS:
		return below(r, 5);
	case ADVICE:
		return below(r, 8) ? below(r, 26) : next_random(r);
	case FD:
		return 3 + below(r, 12);
	case SMALL:
		return below(r, 16);
	case SIGNAL:
		return below(r, 66);
	case MASK:
		return next_random(r) & next_random(r);
	default:
		return next_random(r) >> below(r, 64);
	}
}

/* --- calls ------------------------------------------------------------------------------------------------------ */

struct call {
	int nr;
	int weight;
	enum kind argument[6];
};

/* Calls that end the program, sleep for ever by design or reach outside it (kill of others) are left out. */
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

static const struct call *pick_call(uint64_t *r)
{
	static int total;
	int n;

	if (!total)
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			total += calls[i].weight;
	n = below(r, total);
	for (const struct call *c = calls;; c++)
		if ((n -= c->weight) < 0)
			return c;
}

/*
 * clone may only make a process that shares nothing and ends at once; a shared stack would not outlive the call.
 * Threads and vfork are left to the programs that know how.
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

/* Reads or writes somewhere in the arena; what it raises is caught. */
static void touch(uint64_t *r)
{
	char *p = arena + below(r, ARENA_PAGES * PAGE);

	if (below(r, 2))
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

/* The arguments for a thread: a generator of its own. */
static void *generator(long child, long thread)
{
	uint64_t r = seed * 1000003 + child * 101 + thread;

	return (void *)(uintptr_t)next_random(&r);
}

static int child(long number)
{
	pthread_t threads[NR_THREADS];
	stack_t ss = { .ss_sp = map_pages(8, PROT_READ | PROT_WRITE), .ss_size = 8 * PAGE };

	sigaltstack(&ss, NULL);
	catch_faults(SA_ONSTACK);
	setrlimit(RLIMIT_AS, &(struct rlimit){ 64 << 20, 64 << 20 });
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 32, 32 });
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	alarm(CHILD_SECONDS);
	arena = map_pages(ARENA_PAGES, PROT_READ | PROT_WRITE);
	for (long i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, fuzz, generator(number, i)))
			return 1;
	for (long i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Runs one child to its end, and kills it when it does not find one. */
static void run(long number)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(child(number));
	for (int i = 0; i < CHILD_SECONDS * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0) == pid);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		nr_children = atol(argv[2]);
	if (argc > 3)
		nr_calls = atol(argv[3]);
	printf("fuzz: seed %llu, %ld children of %d threads, %ld calls each\n", (unsigned long long)seed, nr_children,
	       NR_THREADS, nr_calls);
	for (long i = 0; i < nr_children; i++)
		run(i);
	printf("fuzz: done\n");
	return 0;
}
