/* SPDX-License-Identifier: MIT */
/*
 * Runs a swap storm: a process and its forked children, of several threads each, use a working set that is larger than
 * memory. Each page carries its own number, a generation and a checksum. From time to time, a part of the working set
 * is paged out, moved, protected, discarded, or unmapped and mapped again. If /dev/ram1 exists, that disk at the same
 * time becomes faster and slower, fails reads and writes, and is swapped off and on.
 *
 * Arguments: MiB of the working set, children, rounds of each thread, a seed, how often to swap /dev/ram1 off and on,
 * and N to fail one in N of its reads.
 *
 * A read error raises SIGBUS in the thread that touched the page, and the thread touches the page again: it writes or
 * reads a record until the whole record has succeeded. The storm must end with no wrong byte. The program's own memory,
 * such as stacks and generations, is locked before the first error.
 */
#include "user/lib/faultline.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>

#define PAGE 4096UL
#define THREADS 3
#define STACK_SIZE (64 * 1024UL)
#define PROGRESS_LINES 4
#define DISK "/dev/ram1"
#define SETTINGS "/sys/block/ram1/"

struct record {
	uint64_t address, generation, checksum;
};

static size_t nr_pages; /* of each thread */
static unsigned rounds, swapoffs;
static uint64_t seed;
static char read_error[24];
static unsigned errors;
static bool storm_is_over;

struct worker {
	pthread_t thread;
	char *area;
	char *stack;
	uint64_t *generation; /* of each page; 0: never written, or discarded */
	uint64_t random;
	bool tells; /* prints its progress */
};

static uint64_t below(uint64_t *random, uint64_t bound)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % bound;
}

static void complain(const char *what, size_t page)
{
	printf("page %zu: %s (%s)\n", page, what, strerror(errno));
	__atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		exit((complain("no room", 0), 1));
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

/* ---- Accesses that may fail -------------------------------------------------------------------------------------- */

static __thread sigjmp_buf recover;
static __thread char *volatile accessed; /* the page; NULL: no SIGBUS is expected */

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	if (!accessed || (char *)info->si_addr < accessed || (char *)info->si_addr >= accessed + PAGE ||
	    info->si_code != BUS_ADRERR)
		_exit(99); /* the signal is not for the page that was accessed */
	siglongjmp(recover, 1);
}

static uint64_t checksum(const struct record *r)
{
	return (r->address * 31 + r->generation) * 0x9e3779b97f4a7c15UL;
}

static void write_page(struct worker *w, size_t page)
{
	volatile struct record *r = (struct record *)(w->area + page * PAGE);
	struct record new = { .address = page, .generation = ++w->generation[page] };

	new.checksum = checksum(&new);
	(void)sigsetjmp(recover, 0);
	accessed = (char *)r;
	*r = new;
	*(volatile uint64_t *)((char *)r + PAGE - 8) = new.checksum;
	accessed = NULL;
}

static void check_page(struct worker *w, size_t page)
{
	volatile struct record *r = (struct record *)(w->area + page * PAGE);
	struct record found;
	uint64_t last;

	(void)sigsetjmp(recover, 0);
	accessed = (char *)r;
	found = *r;
	last = *(volatile uint64_t *)((char *)r + PAGE - 8);
	accessed = NULL;
	if (found.generation != w->generation[page])
		complain("another generation", page);
	else if (found.generation &&
		 (found.address != page || found.checksum != checksum(&found) || last != found.checksum))
		complain("wrong bytes", page);
}

/* ---- What happens to pages --------------------------------------------------------------------------------------- */

static void protect(char *start, size_t size)
{
	if (mprotect(start, size, PROT_NONE) || mprotect(start, size, PROT_READ | PROT_WRITE))
		complain("cannot protect", 0);
}

/* Held while addresses are unmapped for a moment only, so that no other mapping is placed there. */
static pthread_mutex_t hole = PTHREAD_MUTEX_INITIALIZER;

/* Memory that was mapped again is a VMA of its own, and mremap does not move a range of several VMAs (EFAULT). */
static void move_away_and_back(char *start, size_t size)
{
	char *moved;

	pthread_mutex_lock(&hole);
	moved = mremap(start, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (moved == MAP_FAILED ? errno != EFAULT
				: mremap(moved, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start) == MAP_FAILED)
		complain("cannot move", 0);
	pthread_mutex_unlock(&hole);
}

static void map_anew(char *start, size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

	pthread_mutex_lock(&hole);
	if (munmap(start, size) || mmap(start, size, PROT_READ | PROT_WRITE, flags, -1, 0) != start)
		complain("cannot map anew", 0);
	pthread_mutex_unlock(&hole);
}

/* Does one of several other things to a range of up to 32 pages. */
static void disturb(struct worker *w)
{
	size_t first = below(&w->random, nr_pages);
	size_t nr = 1 + below(&w->random, nr_pages - first < 32 ? nr_pages - first : 32);
	char *start = w->area + first * PAGE;

	switch (below(&w->random, 8)) {
	case 0:
		protect(start, nr * PAGE);
		break;
	case 1:
		if (madvise(start, nr * PAGE, MADV_DONTNEED))
			complain("cannot give back", first);
		memset(w->generation + first, 0, nr * sizeof(*w->generation));
		break;
	case 2:
		move_away_and_back(start, nr * PAGE);
		break;
	case 3:
		map_anew(start, nr * PAGE);
		memset(w->generation + first, 0, nr * sizeof(*w->generation));
		break;
	default:
		madvise(start, nr * PAGE, MADV_PAGEOUT);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < rounds; i++) {
		size_t page = below(&w->random, nr_pages);

		check_page(w, page);
		if (below(&w->random, 2))
			write_page(w, page);
		if (below(&w->random, 64) == 0)
			disturb(w);
		if (w->tells && rounds >= PROGRESS_LINES && (i + 1) % (rounds / PROGRESS_LINES) == 0)
			write(STDERR_FILENO, ".", 1);
	}
	for (size_t page = 0; page < nr_pages; page++)
		check_page(w, page);
	return NULL;
}

/* ---- What happens to the disk ------------------------------------------------------------------------------------ */

/* swapoff fails if a page cannot be read, or if there is no room for it elsewhere. The area then stays in use. */
static void swap_off_and_on(void)
{
	if (swapoff(DISK)) {
		if (errno != EIO && errno != ENOMEM)
			complain("cannot swap off", 0);
		return;
	}
	write_text(SETTINGS "read_error", "0"); /* otherwise swapon may fail to read the header */
	if (swapon(DISK, SWAP_FLAG_PREFER | 5)) /* before the other area, which takes what does not fit */
		complain("cannot swap on", 0);
}

static void *spoil(void *arg)
{
	static const char *const latencies[] = { "0", "50", "300" };
	uint64_t random = seed * 31 + 7;

	(void)arg;
	for (unsigned left = swapoffs; !__atomic_load_n(&storm_is_over, __ATOMIC_ACQUIRE);) {
		write_text(SETTINGS "read_error", below(&random, 2) ? read_error : "0");
		write_text(SETTINGS "write_error", below(&random, 4) ? "0" : "256");
		write_text(SETTINGS "latency_us", latencies[below(&random, 3)]);
		if (left && below(&random, 4) == 0) {
			swap_off_and_on();
			left--;
		}
		usleep(20000);
	}
	write_text(SETTINGS "read_error", "0");
	write_text(SETTINGS "write_error", "0");
	return NULL;
}

/* ---- A process --------------------------------------------------------------------------------------------------- */

/* Locks page by page, because there may be holes. */
static void lock_pages(const char *from, const char *to)
{
	for (const char *page = (const char *)((uintptr_t)from & -PAGE); page < to; page += PAGE)
		mlock(page, PAGE);
}

/* Locks the program, this stack and the workers' data before the first error: no thread could go on after one there. */
static void lock_own_memory(struct worker *workers)
{
	extern char __ehdr_start, end;
	const char *here = __builtin_frame_address(0);

	lock_pages(&__ehdr_start, &end);
	lock_pages(here - 4 * PAGE, here + 4 * PAGE);
	/* The descriptor of this thread, to which other threads write. */
	lock_pages((char *)pthread_self() - PAGE, (char *)pthread_self() + PAGE);
	errno = 0;
	for (unsigned i = 0; i <= THREADS; i++)
		if (mlock(workers[i].stack, STACK_SIZE) ||
		    (i < THREADS && mlock(workers[i].generation, nr_pages * sizeof(uint64_t))))
			complain("cannot lock", i);
}

static void start(struct worker *w, void *(*what)(void *))
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, w->stack, STACK_SIZE);
	if (pthread_create(&w->thread, &attr, what, w))
		exit((complain("no thread", 0), 1));
}

static void run_workers(struct worker *workers, uint64_t salt)
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].random = (seed + salt) * 0x9e3779b97f4a7c15UL + i + 1;
		start(&workers[i], work);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

/* The last worker uses no area: it is the thread that spoils the disk. */
static struct worker *make_workers(size_t size)
{
	struct worker *workers = map((THREADS + 1) * sizeof(*workers));
	char *area = map(THREADS * size);

	mlock(workers, (THREADS + 1) * sizeof(*workers));
	for (unsigned i = 0; i <= THREADS; i++) {
		workers[i].stack = map(STACK_SIZE);
		workers[i].area = area + i * size;
		if (i < THREADS)
			workers[i].generation = map(nr_pages * sizeof(uint64_t));
	}
	return workers;
}

/* Runs in the child. A byte in the pipe tells the parent that the child is ready. */
static void be_child(struct worker *workers, unsigned number, const int *ready)
{
	mlock(workers, (THREADS + 1) * sizeof(*workers));
	lock_own_memory(workers);
	workers[0].tells = false;
	write(ready[1], "", 1);
	run_workers(workers, number);
	_exit(errors != 0);
}

static void fork_children(struct worker *workers, unsigned children)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		complain("no pipe", 0);
	for (unsigned child = 1; child <= children; child++) {
		pid_t pid = fork();

		if (pid < 0)
			complain("cannot fork", child);
		if (pid == 0)
			be_child(workers, child, ready);
	}
	close(ready[1]);
	for (unsigned child = 1; child <= children; child++)
		if (read(ready[0], &byte, 1) != 1)
			complain("a child is missing", child);
}

static void storm(struct worker *workers, unsigned children)
{
	bool spoils = access(DISK, F_OK) == 0;
	int status;

	if (spoils)
		swap_off_and_on();
	fork_children(workers, children);
	if (spoils)
		start(&workers[THREADS], spoil);
	run_workers(workers, 0);
	while (wait(&status) > 0)
		if (status)
			complain("a child is wrong", (size_t)status);
	__atomic_store_n(&storm_is_over, true, __ATOMIC_RELEASE);
	if (spoils)
		pthread_join(workers[THREADS].thread, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER };
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 48;
	struct worker *workers;

	rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 2000;
	seed = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
	swapoffs = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
	snprintf(read_error, sizeof(read_error), "%s", argc > 6 ? argv[6] : "64");
	nr_pages = (mib << 20) / PAGE / THREADS;
	sigaction(SIGBUS, &action, NULL);
	workers = make_workers(nr_pages * PAGE);
	workers[0].tells = true;
	lock_own_memory(workers);
	for (unsigned i = 0; i < THREADS; i++)
		for (size_t page = 0; page < nr_pages; page++)
			write_page(&workers[i], page);
	storm(workers, argc > 2 ? (unsigned)atoi(argv[2]) : 2);
	printf(errors ? "the storm did harm\n" : "the storm is over\n");
	return errors != 0;
}
