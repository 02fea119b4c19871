/* SPDX-License-Identifier: MIT */
/*
 * A swap storm: forked children, of several threads each, over a working set that is larger than memory. Each page carries its
 * own address, a generation and a checksum; now and then a part of it is paged out, moved, protected, or given back.
 * Arguments: MiB of the working set, children, rounds of each thread, a seed.
 */
#include "user/faultline.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096UL
#define THREADS 3

struct record {
	uint64_t address, generation, checksum;
};

static char *base;
static size_t nr_pages; /* of each thread */
static unsigned rounds;
static uint64_t seed;
static unsigned errors;

static uint64_t checksum(const struct record *r)
{
	return (r->address * 31 + r->generation) * 0x9e3779b97f4a7c15UL;
}

struct worker {
	pthread_t thread;
	char *area;
	uint64_t *generation; /* of each page, 0: never written, or given back */
	uint64_t random;
};

static uint64_t below(struct worker *w, uint64_t bound)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % bound;
}

static void complain(const char *what, size_t page)
{
	printf("page %zu: %s\n", page, what);
	__atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
}

static void write_page(struct worker *w, size_t page)
{
	struct record *r = (struct record *)(w->area + page * PAGE);

	r->address = page;
	r->generation = ++w->generation[page];
	r->checksum = checksum(r);
	*(uint64_t *)((char *)r + PAGE - 8) = r->checksum;
}

static void check_page(struct worker *w, size_t page)
{
	const struct record *r = (const struct record *)(w->area + page * PAGE);

	if (r->generation != w->generation[page])
		complain("another generation", page);
	else if (r->generation && (r->address != page || r->checksum != checksum(r) ||
				   *(const uint64_t *)((const char *)r + PAGE - 8) != r->checksum))
		complain("wrong bytes", page);
}

/* A range of up to 32 pages: what else can happen to it. */
static void disturb(struct worker *w)
{
	size_t first = below(w, nr_pages), nr = 1 + below(w, nr_pages - first < 32 ? nr_pages - first : 32);
	char *start = w->area + first * PAGE, *moved;

	switch (below(w, 8)) {
	case 0:
		mprotect(start, nr * PAGE, PROT_NONE);
		mprotect(start, nr * PAGE, PROT_READ | PROT_WRITE);
		break;
	case 1:
		if (madvise(start, nr * PAGE, MADV_DONTNEED) == 0)
			memset(w->generation + first, 0, nr * sizeof(*w->generation));
		break;
	case 2: /* away, and back again */
		moved = mremap(start, nr * PAGE, nr * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		if (moved != MAP_FAILED && mremap(moved, nr * PAGE, nr * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, start) == MAP_FAILED)
			complain("cannot move back", first);
		break;
	default:
		madvise(start, nr * PAGE, MADV_PAGEOUT);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < rounds; i++) {
		size_t page = below(w, nr_pages);

		check_page(w, page);
		if (below(w, 2))
			write_page(w, page);
		if (below(w, 64) == 0)
			disturb(w);
	}
	for (size_t page = 0; page < nr_pages; page++)
		check_page(w, page);
	return NULL;
}

static void run_threads(struct worker *workers, uint64_t salt)
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].random = (seed + salt) * 0x9e3779b97f4a7c15UL + i + 1;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			exit((complain("no thread", i), 1));
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 48;
	unsigned children = argc > 2 ? atoi(argv[2]) : 2;
	struct worker workers[THREADS];
	int status;

	rounds = argc > 3 ? atoi(argv[3]) : 2000;
	seed = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
	nr_pages = (mib << 20) / PAGE / THREADS;
	base = mmap(NULL, THREADS * nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return 1;
	madvise(base, THREADS * nr_pages * PAGE, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].area = base + i * nr_pages * PAGE;
		workers[i].generation = calloc(nr_pages, sizeof(uint64_t));
		for (size_t page = 0; page < nr_pages; page++)
			write_page(&workers[i], page);
	}
	for (unsigned child = 1; child <= children; child++) {
		pid_t pid = fork();

		if (pid < 0)
			complain("cannot fork", child);
		if (pid)
			continue;
		run_threads(workers, child);
		_exit(errors != 0);
	}
	run_threads(workers, 0);
	while (wait(&status) > 0)
		if (status)
			complain("a child is wrong", 0);
	printf(errors ? "the storm did harm\n" : "the storm is over\n");
	return errors != 0;
}
