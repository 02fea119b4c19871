/* SPDX-License-Identifier: MIT */
/*
 * mmfuzz --threads: many threads change two ranges of memory at once.
 *
 * The ground belongs to all threads. No thread can know whether an access succeeds, but any value that it reads was
 * written by some thread, to this word of a page of this colour: pages move, and files are mapped, by multiples of
 * NR_COLOURS only.
 *
 * The stripes: page i belongs to thread i % N, which knows its exact state, while the neighbours are split off, merged,
 * moved and unmapped around it. What the thread sees there goes into the digest.
 */
#ifndef USER_MMFUZZ_THREADS_H
#define USER_MMFUZZ_THREADS_H

#include "user/fuzz/mmfuzz_steps.h"

#include <pthread.h>

#define MAX_THREADS 16
#define NR_COLOURS 8
#define GROUND_FILE_PAGES 32
#define STRIPES ((char *)ARENA + 1024 * PAGE)

struct stripe_page {
	bool mapped;
	unsigned char prot;
	uint64_t value; /* of each word */
};

struct worker {
	pthread_t thread;
	int number;
	long steps;
	uint64_t digest;
	struct stripe_page page[NR_PAGES]; /* only every N-th is this worker's */
};

static int nr_workers, ground_file;
static pthread_barrier_t all_ready;
static uint64_t *published; /* the number of writes of each thread; shared with children, which see newer pages too */
static __thread struct worker *self;

/* --- the ground ------------------------------------------------------------------------------------------------- */

struct tag {
	unsigned int colour, word, thread;
	uint64_t count;
};

static uint64_t pack(struct tag tag)
{
	return (uint64_t)(tag.colour + 1) << 60 | (uint64_t)tag.word << 48 | (uint64_t)tag.thread << 40 | tag.count;
}

static struct tag unpack(uint64_t value)
{
	return (struct tag){ .colour = (value >> 60) - 1,
			     .word = value >> 48 & 0xfff,
			     .thread = value >> 40 & 0xff,
			     .count = value & 0xffffffffff };
}

/* The value must be zero, or written by some thread to this word of a page of this colour, before now. */
static void check_tag(int page, unsigned int word, uint64_t value)
{
	struct tag tag = unpack(value);

	if (!value)
		return;
	if (tag.colour != (unsigned int)page % NR_COLOURS || tag.word != word ||
	    tag.thread >= (unsigned int)nr_workers ||
	    tag.count > __atomic_load_n(&published[tag.thread], __ATOMIC_ACQUIRE))
		fail("thread %d reads %016llx from word %u of page %d: no thread wrote this value there", self->number,
		     (unsigned long long)value, word, page);
}

/* A fault must be one that such memory can raise, at the address that was accessed. */
static void check_fault(int page, const volatile void *addr, int signo)
{
	bool known = signo == SIGSEGV ? caught.code == SEGV_MAPERR || caught.code == SEGV_ACCERR
				      : signo == SIGBUS && caught.code == BUS_ADRERR;

	if (signo && (!known || !caught_at(addr)))
		fail("page %d raises signal %d code %d, %ld bytes off", page, signo, caught.code,
		     (long)(caught.addr - (uintptr_t)addr));
}

static void ground_write(void)
{
	int page = below(NR_PAGES);
	unsigned int word = below(PAGE / 8);
	volatile uint64_t *addr = (volatile uint64_t *)at(page) + word;
	struct tag tag = { page % NR_COLOURS, word, self->number, published[self->number] + 1 };
	uint64_t value = pack(tag);

	__atomic_store_n(&published[self->number], tag.count, __ATOMIC_RELEASE);
	check_fault(page, addr, CATCH(*addr = value));
}

static void ground_read(void)
{
	int page = below(NR_PAGES);
	unsigned int word = below(PAGE / 8);
	volatile uint64_t *addr = (volatile uint64_t *)at(page) + word;
	volatile uint64_t value = 0;
	int signo = CATCH(value = *addr);

	check_fault(page, addr, signo);
	check_tag(page, word, value);
}

static void ground_read_page(void)
{
	int page = below(NR_PAGES);
	const volatile uint64_t *words = (const volatile uint64_t *)at(page);

	(void)CATCH(for (unsigned int i = 0; i < PAGE / 8; i++) check_tag(page, i, words[i]));
}

static void ground_map(void)
{
	struct range r = some_range();
	int kind = below(4), prot = some_rights();
	int flags = MAP_FIXED | (kind == 0 ? MAP_SHARED : MAP_PRIVATE) | (kind > 1 ? MAP_ANONYMOUS : 0) |
		    (once_in(6) ? MAP_POPULATE : 0);
	long offset = (r.first % NR_COLOURS + below(GROUND_FILE_PAGES / NR_COLOURS) * NR_COLOURS) * (long)PAGE;

	CALL(SYS_mmap, at(r.first), r.nr * PAGE, prot, flags, kind > 1 ? -1 : ground_file, kind > 1 ? 0 : offset);
}

static void ground_unmap(void)
{
	struct range r = some_range();

	CALL(SYS_munmap, at(r.first), r.nr * PAGE);
}

static void ground_protect(void)
{
	struct range r = some_range();

	CALL(SYS_mprotect, at(r.first), r.nr * PAGE, some_rights());
}

static void ground_advise(void)
{
	struct range r = some_range();

	CALL(SYS_madvise, at(r.first), r.nr * PAGE, advices[below(sizeof(advices) / sizeof(advices[0]))].number);
}

static void ground_lock(void)
{
	struct range r = some_range();

	CALL(once_in(3) ? SYS_mlock : SYS_munlock, at(r.first), r.nr * PAGE);
}

static void ground_move(void)
{
	struct range r = some_range();
	int to = (r.first + NR_COLOURS * below(NR_PAGES / NR_COLOURS)) % NR_PAGES;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (once_in(4) ? MREMAP_DONTUNMAP : 0);

	if (to + r.nr <= NR_PAGES)
		CALL(SYS_mremap, at(r.first), r.nr * PAGE, r.nr * PAGE, flags, at(to));
}

static void ground_file_changes(void)
{
	long page = below(GROUND_FILE_PAGES), nr = 1 + below(8);

	if (once_in(2))
		CALL(SYS_fallocate, ground_file, 3 /* FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE */, page * PAGE,
		     nr * PAGE);
	else
		CALL(SYS_ftruncate, ground_file, once_in(2) ? page * PAGE : GROUND_FILE_PAGES * PAGE);
}

/* --- the stripes ------------------------------------------------------------------------------------------------ */

static char *stripe(int page)
{
	return STRIPES + page * (long)PAGE;
}

static int own_page(void)
{
	return below(NR_PAGES / nr_workers) * nr_workers + self->number;
}

static struct outcome predict_stripe(const struct stripe_page *p, bool write)
{
	if (!p->mapped)
		return (struct outcome){ SIGSEGV, SEGV_MAPERR };
	if (!p->prot || (write && !(p->prot & PROT_WRITE)))
		return (struct outcome){ SIGSEGV, SEGV_ACCERR };
	return (struct outcome){ 0, 0 };
}

static void stripe_check(int page)
{
	volatile uint64_t *words = (volatile uint64_t *)stripe(page);
	struct stripe_page *p = &self->page[page];
	int signo = CATCH(peek(stripe(page)));

	if (!as_predicted(predict_stripe(p, false), page, stripe(page), signo))
		return;
	for (unsigned int i = 0; i < PAGE / 8; i++) {
		uint64_t value = words[i];

		if (value == p->value)
			continue;
		fail("stripe %d holds %016llx at word %u, expected %016llx", page, (unsigned long long)value, i,
		     (unsigned long long)p->value);
		return;
	}
	mix(p->value);
}

static void stripe_read(void)
{
	stripe_check(own_page());
}

static void stripe_write(void)
{
	int page = own_page();
	volatile uint64_t *words = (volatile uint64_t *)stripe(page);
	uint64_t value = next_random();
	int signo = CATCH(for (unsigned int i = 0; i < PAGE / 8; i++) words[i] = value);

	if (as_predicted(predict_stripe(&self->page[page], true), page, stripe(page), signo))
		self->page[page].value = value;
}

static void stripe_map(void)
{
	int page = own_page(), prot = some_rights();
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (once_in(4) ? MAP_POPULATE : 0);

	mix(CALL(SYS_mmap, stripe(page), PAGE, prot, flags, -1, 0));
	self->page[page] = (struct stripe_page){ .mapped = true, .prot = prot };
}

static void stripe_unmap(void)
{
	int page = own_page();

	mix(CALL(SYS_munmap, stripe(page), PAGE));
	self->page[page].mapped = false;
}

static void stripe_protect(void)
{
	int page = own_page(), prot = some_rights();

	mix(CALL(SYS_mprotect, stripe(page), PAGE, prot));
	self->page[page].prot = prot;
}

static void stripe_drop(void)
{
	int page = own_page();
	long result = CALL(SYS_madvise, stripe(page), PAGE, MADV_DONTNEED);

	mix(result);
	if (result == 0)
		self->page[page].value = 0;
}

static void stripe_move(void)
{
	int from = own_page(), to = own_page();
	bool stays = once_in(4);
	long result = CALL(SYS_mremap, stripe(from), PAGE, PAGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED | (stays ? MREMAP_DONTUNMAP : 0), stripe(to));

	mix(result);
	if (result < 0)
		return;
	self->page[to] = self->page[from];
	self->page[from].mapped = stays;
	self->page[from].value = 0;
}

/* The child checks the pages that only this thread changes, and the tags of some pages of the ground. */
static void fork_and_check(void)
{
	int status;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		failures = 0;
		for (int i = self->number; i < NR_PAGES; i += nr_workers)
			stripe_check(i);
		for (int i = 0; i < 8; i++)
			ground_read_page();
		_exit(failures != 0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	if (status)
		fail("a child of thread %d ends with status %#x", self->number, status);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

static void *worker_main(void *arg)
{
	static void (*const works[])(void) = {
		ground_write,	  ground_write,	  ground_write, ground_write,	     ground_read,  ground_read,
		ground_read_page, ground_map,	  ground_map,	ground_unmap,	     ground_lock,  ground_protect,
		ground_advise,	  ground_advise,  ground_move,	ground_file_changes, stripe_read,  stripe_read,
		stripe_write,	  stripe_write,	  stripe_write, stripe_map,	     stripe_unmap, stripe_drop,
		stripe_protect,	  stripe_protect, stripe_move,
	};

	self = arg;
	digest = 0xcbf29ce484222325;
	pthread_barrier_wait(&all_ready);
	for (step_number = 1; step_number <= self->steps; step_number++) {
		random_for(seed * MAX_THREADS + self->number, step_number);
		if (swaps && once_in(2)) {
			page_out(at(0), NR_PAGES);
			page_out(STRIPES, NR_PAGES);
		}
		if (once_in(100))
			fork_and_check();
		else
			works[below(sizeof(works) / sizeof(works[0]))]();
	}
	for (int i = self->number; i < NR_PAGES; i += nr_workers)
		stripe_check(i);
	self->digest = digest;
	return NULL;
}

static struct worker workers[MAX_THREADS];

static void begin_threads(void)
{
	ground_file = memfd_create("mmfuzz", 0);
	MUST(ground_file >= 0 && ftruncate(ground_file, GROUND_FILE_PAGES * PAGE) == 0);
	published = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(published != MAP_FAILED);
	MUST(pthread_barrier_init(&all_ready, NULL, nr_workers) == 0);
}

/* Runs one seed in a process of its own. Returns its exit status. */
static int threads_main(void *steps)
{
	uint64_t sum = 0;

	begin_threads();
	for (int i = 0; i < nr_workers; i++) {
		workers[i] = (struct worker){ .number = i, .steps = *(long *)steps };
		MUST(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
	}
	for (int i = 0; i < nr_workers; i++) {
		MUST(pthread_join(workers[i].thread, NULL) == 0);
		sum += workers[i].digest;
	}
	say_digest(sum);
	return failures != 0;
}

static bool run_threads(long nr, long steps)
{
	int status;

	nr_workers = nr;
	status = run_child(threads_main, &steps);
	if (status)
		say("seed %llu failed: status %#x; replay: mmfuzz --seeds %llu --steps %ld --threads %ld\n",
		    (unsigned long long)seed, status, (unsigned long long)seed, steps, nr);
	return status == 0;
}

#endif
