/* SPDX-License-Identifier: MIT */
/*
 * mmfuzz's shadow: the state of each page of the arena, and each of its bytes.
 *
 * One process runs at a time, so nothing is locked. Objects (files, shared anonymous memory) lie in memory that parents
 * and children share, as the real ones do. The private copies of a process lie in its own memory.
 */
#ifndef USER_MMFUZZ_SHADOW_H
#define USER_MMFUZZ_SHADOW_H

#include "user/fuzz/mmfuzz.h"

#include <stddef.h>

#define OBJECT_PAGES 24
#define NR_FILES 3
#define NR_OBJECTS 40
#define PRIVATE_ANON -1

struct object {
	uint64_t size;	/* bytes */
	bool allocated; /* has pages never read or written, which Linux reports as not resident */
	/* How often each page was truncated, which also removes its private copies, in every process. */
	unsigned int truncated[OBJECT_PAGES];
	unsigned char data[OBJECT_PAGES * PAGE]; /* bytes of the last page beyond `size` are kept */
};

struct objects {
	int nr; /* the first NR_FILES are files */
	uint64_t child_digest;
	struct object object[NR_OBJECTS];
};

struct page {
	bool mapped, shared, locked, on_fault, grows, dont_fork, wipe_on_fork;
	unsigned char prot;
	short object; /* index into objects, or PRIVATE_ANON */
	int index;    /* page of the object */
	bool own;     /* private and written: `data` is valid */
	bool lazy;    /* MADV_FREE: may be zero again until it is written */
	unsigned int truncated;
	unsigned char data[PAGE];
};

static struct objects *objects;
static struct page shadow[NR_PAGES];
static const unsigned char zeros[PAGE];

static int pages_of(const struct object *object)
{
	return (object->size + PAGE - 1) / PAGE;
}

static bool owns(const struct page *p)
{
	return p->own && (p->object == PRIVATE_ANON || p->truncated == objects->object[p->object].truncated[p->index]);
}

/* Returns the bytes that a read finds, or NULL beyond the end. */
static const unsigned char *contents(const struct page *p)
{
	const struct object *object;

	if (owns(p))
		return p->data;
	if (p->object == PRIVATE_ANON)
		return zeros;
	object = &objects->object[p->object];
	return p->index < pages_of(object) ? object->data + p->index * PAGE : NULL;
}

/* Returns the bytes that a write changes: a private page is copied first. Not for a page beyond the end. */
static unsigned char *writable_contents(struct page *p)
{
	p->lazy = false;
	if (p->shared)
		return objects->object[p->object].data + p->index * PAGE;
	if (!owns(p)) {
		memcpy(p->data, contents(p), PAGE);
		p->truncated = p->object == PRIVATE_ANON ? 0 : objects->object[p->object].truncated[p->index];
		p->own = true;
	}
	return p->data;
}

static void unmap_shadow(struct range r)
{
	for (int i = r.first; i < r.first + r.nr; i++)
		shadow[i].mapped = false;
}

/* Makes a page like `like`, but without contents of its own. */
static void map_shadow_page(int i, const struct page *like, int index)
{
	memmove(&shadow[i], like, offsetof(struct page, data));
	shadow[i].index = index;
	shadow[i].own = shadow[i].lazy = false;
}

/* Returns how many pages are mapped from the first on, up to the first hole. */
static int mapped_run(struct range r)
{
	int n = 0;

	while (n < r.nr && shadow[r.first + n].mapped)
		n++;
	return n;
}

/* --- accesses --------------------------------------------------------------------------------------------------- */

/*
 * Grows a GROWSDOWN mapping down to the page, unless the next mapping below it is accessible and of another kind
 * (stack_guard_gap).
 */
static void grow_down(int page)
{
	int above = page, under = page;

	while (above < NR_PAGES && !shadow[above].mapped)
		above++;
	while (under >= 0 && !shadow[under].mapped)
		under--;
	if (above == NR_PAGES || above == page || !shadow[above].grows)
		return;
	if (under >= 0 && !shadow[under].grows && shadow[under].prot)
		return;
	while (above-- > page)
		map_shadow_page(above, &shadow[above + 1], 0);
}

struct outcome {
	int signo, code;
};

/* Returns the signal that one access must raise. The access may grow a mapping. */
static struct outcome predict(int page, bool write)
{
	struct page *p = &shadow[page];

	if (!p->mapped)
		grow_down(page);
	if (!p->mapped)
		return (struct outcome){ SIGSEGV, SEGV_MAPERR };
	if (!p->prot || (write && !(p->prot & PROT_WRITE)))
		return (struct outcome){ SIGSEGV, SEGV_ACCERR };
	if (!contents(p))
		return (struct outcome){ SIGBUS, BUS_ADRERR };
	return (struct outcome){ 0, 0 };
}

/* Compares the signal that was raised with the predicted one. Returns true if the access succeeded. */
static bool as_predicted(struct outcome want, int page, const char *addr, int signo)
{
	if (signo != want.signo || caught.code != want.code)
		fail("page %d raises signal %d code %d, expected signal %d code %d", page, signo, caught.code,
		     want.signo, want.code);
	else if (signo && !caught_at(addr))
		fail("page %d: the signal's address is off by %ld", page, (long)(caught.addr - (uintptr_t)addr));
	mix(signo * 256 + caught.code);
	return !signo && !want.signo;
}

/* Finds out, by reading the page, whether it was freed after MADV_FREE. */
static void settle_lazy(int page)
{
	struct page *p = &shadow[page];

	if (p->lazy && memcmp(at(page), p->data, PAGE) != 0)
		p->own = p->lazy = false;
}

/* Compares all bytes of a readable page. Their sum goes into the digest, unless MADV_FREE makes them unpredictable. */
static void compare_contents(int page)
{
	const volatile uint64_t *real = (const volatile uint64_t *)at(page);
	bool lazy = shadow[page].lazy;
	const uint64_t *want;
	uint64_t sum = 0;

	if (lazy)
		settle_lazy(page);
	want = (const uint64_t *)contents(&shadow[page]);
	for (unsigned long i = 0; i < PAGE / 8; i++) {
		uint64_t value = real[i];

		sum = sum * 31 + value;
		if (value != want[i]) {
			fail("page %d holds %016llx at %#lx, expected %016llx", page, (unsigned long long)value, i * 8,
			     (unsigned long long)want[i]);
			break;
		}
	}
	mix(lazy ? 0 : sum);
}

static void check_page(int page)
{
	struct outcome want = predict(page, false);
	int signo = CATCH(peek(at(page)));

	if (as_predicted(want, page, at(page), signo))
		compare_contents(page);
}

/* --- populating ------------------------------------------------------------------------------------------------- */

/*
 * mlock and MAP_POPULATE: private writable pages are copied, up to the first page that cannot be faulted in. Memory
 * that is locked on fault waits for faults.
 */
static void populate_shadow(struct range r)
{
	for (int i = r.first; i < r.first + r.nr; i++) {
		struct page *p = &shadow[i];

		if (!p->mapped || !p->prot || p->on_fault || !contents(p))
			return;
		if ((p->prot & PROT_WRITE) && !p->shared && !owns(p))
			writable_contents(p);
	}
}

/* --- objects ---------------------------------------------------------------------------------------------------- */

static void zero_object(struct object *object, uint64_t from, uint64_t to)
{
	if (to > sizeof(object->data))
		to = sizeof(object->data);
	if (from < to)
		memset(object->data + from, 0, to - from);
}

static void resize_object(struct object *object, uint64_t size)
{
	int keeps = (size + PAGE - 1) / PAGE;

	if (size < object->size) {
		zero_object(object, size, sizeof(object->data));
		for (int i = keeps; i < OBJECT_PAGES; i++)
			object->truncated[i]++;
	}
	object->size = size;
}

/* Returns a new object of `nr` pages for shared anonymous memory, or PRIVATE_ANON if there are no more. */
static int new_object(int nr)
{
	if (objects->nr == NR_OBJECTS || nr > OBJECT_PAGES)
		return PRIVATE_ANON;
	objects->object[objects->nr].size = nr * PAGE;
	return objects->nr++;
}

/* --- fork ------------------------------------------------------------------------------------------------------- */

static void shadow_of_child(void)
{
	for (int i = 0; i < NR_PAGES; i++) {
		struct page *p = &shadow[i];

		p->locked = p->on_fault = false;
		if (p->dont_fork)
			p->mapped = false;
		else if (p->wipe_on_fork)
			p->own = p->lazy = false;
	}
}

#endif
