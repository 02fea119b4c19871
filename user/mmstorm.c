/* SPDX-License-Identifier: MIT */
/*
 * Random changes to an address space, checked against a shadow: for each page of a span the shadow says whether it is
 * mapped, with which rights and which contents. After every few steps all of it is compared, by accesses that must
 * succeed or fault as the shadow says, and a digest is kept. Now and then a forked child goes on by itself.
 *
 * Arguments: seed (1), steps (2000), threads (1). With one thread the digest equals Linux's; each thread has a span of
 * its own, so with several the digests don't depend on the order either.
 */
#include "user/check.h"

#include <pthread.h>

#define SPAN 256
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

enum state { FREE, MAPPED };

struct shadow_page {
	unsigned char state, prot, value;
};

struct storm {
	char *base;
	uint64_t random, digest;
	struct shadow_page page[SPAN];
	int errors;
	long steps;
	bool forks;
};

static uint64_t next_random(struct storm *s)
{
	uint64_t z = (s->random += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static int below(struct storm *s, int limit)
{
	return next_random(s) % limit;
}

static void mix(struct storm *s, uint64_t value)
{
	s->digest = (s->digest ^ value) * 0x100000001b3; /* FNV-1a, 64 bit */
}

static char *at(struct storm *s, int page)
{
	return s->base + page * PAGE;
}

static int random_prot(struct storm *s)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW, RW, RW, PROT_WRITE };

	return prots[below(s, 6)];
}

/* Readable on x86: with any right at all. */
static bool readable(const struct shadow_page *p)
{
	return p->state == MAPPED && p->prot != PROT_NONE;
}

static bool writable(const struct shadow_page *p)
{
	return p->state == MAPPED && (p->prot & PROT_WRITE);
}

static void expect(struct storm *s, bool holds)
{
	if (!holds)
		s->errors++;
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

static void do_map(struct storm *s, int first, int nr)
{
	int prot = random_prot(s);
	bool populate = below(s, 4) == 0;
	char *p = mmap(at(s, first), nr * PAGE, prot, ANON | MAP_FIXED | (populate ? MAP_POPULATE : 0), -1, 0);

	expect(s, p == at(s, first));
	for (int i = first; i < first + nr; i++)
		s->page[i] = (struct shadow_page){ MAPPED, prot, 0 };
}

static void do_unmap(struct storm *s, int first, int nr)
{
	expect(s, munmap(at(s, first), nr * PAGE) == 0);
	for (int i = first; i < first + nr; i++)
		s->page[i] = (struct shadow_page){ FREE, 0, 0 };
}

/* How many of the pages from the first on are mapped, up to the first hole. */
static int mapped_run(struct storm *s, int first, int nr)
{
	int n = 0;

	while (n < nr && s->page[first + n].state == MAPPED)
		n++;
	return n;
}

static void do_protect(struct storm *s, int first, int nr)
{
	int prot = random_prot(s), run = mapped_run(s, first, nr);
	int result = mprotect(at(s, first), nr * PAGE, prot);

	expect(s, run == nr ? result == 0 : result == -1 && errno == ENOMEM);
	for (int i = first; i < first + run; i++)
		s->page[i].prot = prot;
	mix(s, run);
}

static void do_drop(struct storm *s, int first, int nr)
{
	int result = madvise(at(s, first), nr * PAGE, MADV_DONTNEED);

	expect(s, mapped_run(s, first, nr) == nr ? result == 0 : result == -1 && errno == ENOMEM);
	for (int i = first; i < first + nr; i++)
		s->page[i].value = 0;
}

/* mremap takes a stretch of one mapping only, and which pages make one is not for us to know: move one page. */
static void do_move(struct storm *s, int first, int nr)
{
	int to = below(s, SPAN);
	char *p;

	(void)nr;
	if (to == first || s->page[first].state != MAPPED)
		return;
	p = mremap(at(s, first), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(s, to));
	expect(s, p == at(s, to));
	s->page[to] = s->page[first];
	s->page[first] = (struct shadow_page){ FREE, 0, 0 };
}

static void do_write(struct storm *s, int first, int nr)
{
	for (int i = first; i < first + nr; i++) {
		char value = next_random(s);
		int signo = CATCH(poke(at(s, i), value));

		expect(s, writable(&s->page[i]) ? signo == 0 : signo == SIGSEGV);
		if (writable(&s->page[i]))
			s->page[i].value = value;
		else if (signo)
			expect(s, caught.code == (s->page[i].state == FREE ? SEGV_MAPERR : SEGV_ACCERR));
	}
}

static void check_all(struct storm *s)
{
	for (int i = 0; i < SPAN; i++) {
		volatile char seen = 0;
		int signo = CATCH(seen = peek(at(s, i)));

		expect(s, readable(&s->page[i]) ? signo == 0 : signo == SIGSEGV);
		if (!signo)
			expect(s, (unsigned char)seen == s->page[i].value);
		mix(s, signo * 256 + (signo ? caught.code : (unsigned char)seen));
	}
}

static void one_step(struct storm *s)
{
	static void (*const steps[])(struct storm *, int, int) = { do_map,  do_unmap, do_protect, do_protect,
								   do_drop, do_move,  do_write,	  do_write };
	int first = below(s, SPAN), nr = 1 + below(s, 24);

	if (nr > SPAN - first)
		nr = SPAN - first;
	steps[below(s, sizeof(steps) / sizeof(steps[0]))](s, first, nr);
}

/* A child goes on from here with other random numbers, and reports whether it found errors. */
static int child_steps(void *arg)
{
	struct storm *s = arg;

	s->random ^= 0x5555;
	for (int i = 0; i < 50; i++)
		one_step(s);
	check_all(s);
	return s->errors ? 1 : 0;
}

static void run(struct storm *s)
{
	for (long i = 0; i < s->steps; i++) {
		one_step(s);
		if (i % 50 == 0)
			check_all(s);
		if (s->forks && i % 200 == 199)
			expect(s, run_child(child_steps, s) == 0);
	}
	check_all(s);
}

/* Nobody unmaps before everybody has its memory: a stack of a later thread would come to lie in somebody's hole. */
static pthread_barrier_t all_ready;

static void *thread_main(void *arg)
{
	pthread_barrier_wait(&all_ready);
	run(arg);
	return NULL;
}

static struct storm *new_storm(uint64_t seed, long steps, bool forks)
{
	struct storm *s = (struct storm *)map_pages(1 + sizeof(*s) / PAGE, RW);

	s->base = map_island(SPAN, PROT_NONE);
	s->random = seed;
	s->digest = 0xcbf29ce484222325;
	s->steps = steps;
	s->forks = forks;
	for (int i = 0; i < SPAN; i++)
		s->page[i] = (struct shadow_page){ MAPPED, PROT_NONE, 0 };
	return s;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	long steps = argc > 2 ? atol(argv[2]) : 2000;
	int nr = argc > 3 ? atoi(argv[3]) : 1;
	pthread_t threads[64];
	struct storm *storm[64];

	if (nr < 1 || nr > 64 || steps < 1) {
		fprintf(stderr, "usage: mmstorm [seed] [steps] [threads 1..64]\n");
		return 2;
	}
	catch_faults(0);
	MUST(pthread_barrier_init(&all_ready, NULL, nr) == 0);
	for (int i = 0; i < nr; i++) {
		storm[i] = new_storm(seed + i, steps, nr == 1);
		if (nr > 1)
			MUST(pthread_create(&threads[i], NULL, thread_main, storm[i]) == 0);
	}
	if (nr == 1)
		run(storm[0]);
	for (int i = 0; i < nr; i++) {
		if (nr > 1)
			pthread_join(threads[i], NULL);
		printf("storm %d: digest %016llx\n", i, (unsigned long long)storm[i]->digest);
		CHECK_EQ(storm[i]->errors, 0);
	}
	return check_done();
}
