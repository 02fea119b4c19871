/* SPDX-License-Identifier: MIT */
/*
 * mmfuzz's steps on mappings: each draws its arguments, describes and makes the call, and changes the shadow as the
 * manual pages say.
 *
 * If a call may either fail or succeed, its result is part of the digest, and the shadow follows the result.
 */
#ifndef USER_MMFUZZ_STEPS_H
#define USER_MMFUZZ_STEPS_H

#include "user/fuzz/mmfuzz_swap.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define MAP_NOREPLACE 0x100000 /* MAP_FIXED_NOREPLACE */
#define MADV_POPULATE_READ_ 22
#define MADV_POPULATE_WRITE_ 23

static int file[NR_FILES];

/* Returns the range as text: "pages 3..9". */
static const char *words(struct range r)
{
	static char text[4][24];
	static int next;
	char *p = text[next++ % 4];

	if (r.nr == 1)
		snprintf(p, sizeof(text[0]), "page %d", r.first);
	else
		snprintf(p, sizeof(text[0]), "pages %d..%d", r.first, r.first + r.nr - 1);
	return p;
}

static bool all_mapped(struct range r)
{
	return mapped_run(r) == r.nr;
}

/* --- mmap, munmap, mprotect ------------------------------------------------------------------------------------- */

static void map_shadow(struct range r, const struct page *like)
{
	for (int i = 0; i < r.nr; i++)
		map_shadow_page(r.first + i, like, like->object == PRIVATE_ANON ? 0 : like->index + i);
}

static int some_map_flags(void)
{
	int flags = once_in(4) ? MAP_NOREPLACE : MAP_FIXED;

	if (once_in(6))
		flags |= MAP_POPULATE;
	if (once_in(16))
		flags |= MAP_LOCKED;
	if (once_in(12))
		flags |= MAP_NORESERVE;
	return flags;
}

static const char *flag_words(int flags)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s%s%s%s%s", flags & MAP_NOREPLACE ? " if free" : "",
		 flags & MAP_POPULATE ? " populated" : "", flags & MAP_LOCKED ? " locked" : "",
		 flags & MAP_NORESERVE ? " noreserve" : "", flags & MAP_GROWSDOWN ? " growing down" : "");
	return text;
}

static void mapped_as(struct range r, struct page like, int flags, long result)
{
	if (result < 0)
		return;
	like.mapped = true;
	like.locked = flags & MAP_LOCKED;
	map_shadow(r, &like);
	if (flags & (MAP_POPULATE | MAP_LOCKED))
		populate_shadow(r);
}

static void step_mmap_private(void)
{
	struct range r = some_range();
	struct page like = { .prot = some_rights(), .object = PRIVATE_ANON };
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | some_map_flags();

	if (once_in(20))
		flags |= MAP_GROWSDOWN, like.grows = true;
	tell("mmap private memory, %s, %s%s", words(r), rights_word(like.prot), flag_words(flags));
	mapped_as(r, like, flags, answer(CALL(SYS_mmap, at(r.first), r.nr * PAGE, like.prot, flags, -1, 0)));
}

static void step_mmap_shared(void)
{
	struct range r = some_range();
	struct page like = { .prot = some_rights(), .shared = true };
	int flags = MAP_SHARED | MAP_ANONYMOUS | some_map_flags();
	long result;

	if (objects->nr == NR_OBJECTS || r.nr > OBJECT_PAGES)
		return;
	tell("mmap shared memory, %s, %s%s", words(r), rights_word(like.prot), flag_words(flags));
	result = answer(CALL(SYS_mmap, at(r.first), r.nr * PAGE, like.prot, flags, -1, 0));
	if (result >= 0)
		like.object = new_object(r.nr);
	mapped_as(r, like, flags, result);
}

static void step_mmap_file(void)
{
	struct range r = some_range();
	struct page like = { .prot = some_rights(), .shared = once_in(2), .object = below(NR_FILES) };
	int flags = (like.shared ? MAP_SHARED : MAP_PRIVATE) | some_map_flags();

	like.index = below(OBJECT_PAGES + 2);
	tell("mmap file %d from page %d on %s, %s, %s%s", like.object, like.index, like.shared ? "shared" : "privately",
	     words(r), rights_word(like.prot), flag_words(flags));
	mapped_as(r, like, flags,
		  answer(CALL(SYS_mmap, at(r.first), r.nr * PAGE, like.prot, flags, file[like.object],
			      like.index * PAGE)));
}

static void step_munmap(void)
{
	struct range r = some_range();

	tell("munmap %s", words(r));
	if (answer(CALL(SYS_munmap, at(r.first), r.nr * PAGE)) == 0)
		unmap_shadow(r);
}

/* Private locked memory that becomes writable is copied at once. */
static void protect_page(int i, int prot)
{
	struct page *p = &shadow[i];
	bool copied = p->locked && !p->shared && !(p->prot & PROT_WRITE) && (prot & PROT_WRITE);

	p->prot = prot;
	if (copied)
		populate_shadow((struct range){ i, 1 });
}

/* Changes the pages before the first hole, and then fails. */
static void step_mprotect(void)
{
	struct range r = some_range();
	int prot = some_rights(), run = mapped_run(r);

	tell("mprotect %s %s", words(r), rights_word(prot));
	answer(CALL(SYS_mprotect, at(r.first), r.nr * PAGE, prot));
	for (int i = r.first; i < r.first + run; i++)
		protect_page(i, prot);
}

/* --- mremap ----------------------------------------------------------------------------------------------------- */

/*
 * The source's pages become the target's. If the target is longer, the rest continues the last page. DONTUNMAP leaves
 * mappings without contents behind. A hole between several VMAs moves nothing, and leaves the target there as it was.
 */
static void remapped(struct range from, struct range to, int flags)
{
	static struct page moved[NR_PAGES];
	int carried = from.nr < to.nr ? from.nr : to.nr;
	struct range rest = { to.first + carried, to.nr - carried };

	memcpy(moved, &shadow[from.first], from.nr * sizeof(*moved));
	if (flags & MREMAP_DONTUNMAP)
		for (int i = from.first; i < from.first + from.nr; i++)
			shadow[i].own = shadow[i].lazy = false;
	else if (from.nr)
		unmap_shadow(from);
	for (int i = 0; i < carried; i++)
		if (moved[i].mapped)
			shadow[to.first + i] = moved[i];
	if (!rest.nr)
		return;
	moved[0] = shadow[to.first + carried - 1];
	moved[0].index++;
	map_shadow(rest, moved);
	if (moved[0].locked)
		populate_shadow(rest);
}

/* An old length of 0 maps the same shared pages a second time. */
static void duplicated(int first, struct range to)
{
	struct page like = shadow[first];

	unmap_shadow(to);
	map_shadow(to, &like);
	if (like.locked)
		populate_shadow(to);
}

/* Moves only in place or to a fixed target: any other target would not be the same everywhere. */
static void step_mremap(void)
{
	static const int some_flags[] = { 0, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
					  MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP };
	struct range from = some_range(), to = some_range();
	int flags = some_flags[below(4)];
	bool fixed = flags & MREMAP_FIXED, duplicates = once_in(10);

	if (!exact)
		from.nr = 1; /* before Linux 6.17 a move ends at the border of a VMA */
	if (!fixed)
		to.first = from.first;
	if (to.nr > NR_PAGES - to.first)
		to.nr = NR_PAGES - to.first;
	if (flags & MREMAP_DONTUNMAP || once_in(3))
		to.nr = from.nr;
	if (to.first + to.nr > NR_PAGES)
		return;
	/* DONTUNMAP unlocks the whole VMA that it leaves, whose extent the shadow does not know. */
	if (flags & MREMAP_DONTUNMAP)
		for (int i = 0; i < NR_PAGES; i++)
			if (shadow[i].locked)
				return;
	if (duplicates && from.first >= to.first && from.first < to.first + to.nr)
		return; /* the target is unmapped first, and the source with it */
	if (duplicates)
		from.nr = 0;
	tell("mremap %s", duplicates ? "a copy of " : "");
	tell("%s to %s%s", words((struct range){ from.first, from.nr ? from.nr : 1 }), words(to),
	     flags & MREMAP_DONTUNMAP ? " leaving the old mapping" : "");
	if (answer(CALL(SYS_mremap, at(from.first), from.nr * PAGE, to.nr * PAGE, flags, at(to.first))) < 0)
		return;
	if (duplicates)
		duplicated(from.first, to);
	else
		remapped(from, to, flags);
}

/* --- madvise and mlock ------------------------------------------------------------------------------------------ */

/* Each returns false where the call ends with an error: the pages before have been changed. */
static bool advise_drop(struct page *p)
{
	if (p->locked)
		return false;
	if (!p->shared)
		p->own = p->lazy = false;
	return true;
}

static bool advise_free(struct page *p)
{
	if (p->locked || p->object != PRIVATE_ANON)
		return false;
	p->lazy = p->own;
	return true;
}

static bool advise_remove(struct page *p)
{
	if (p->locked || !p->shared)
		return false;
	zero_object(&objects->object[p->object], p->index * PAGE, (p->index + 1) * PAGE);
	return true;
}

static bool advise_dont_fork(struct page *p)
{
	p->dont_fork = true;
	return true;
}

static bool advise_do_fork(struct page *p)
{
	p->dont_fork = false;
	return true;
}

static bool advise_wipe(struct page *p)
{
	if (p->object != PRIVATE_ANON)
		return false;
	p->wipe_on_fork = true;
	return true;
}

static bool advise_keep(struct page *p)
{
	p->wipe_on_fork = false;
	return true;
}

static bool advise_nothing(struct page *p)
{
	(void)p;
	return true;
}

static bool advise_write(struct page *p)
{
	if (!p->mapped || !(p->prot & PROT_WRITE) || !contents(p))
		return false;
	if (!p->shared && !owns(p))
		writable_contents(p);
	return true;
}

static const struct advice {
	int number;
	const char *words;
	bool (*advise)(struct page *p);
	bool stops_at_holes; /* the others skip holes, and fail in the end */
} advices[] = {
	{ MADV_DONTNEED, "forget", advise_drop, false },
	{ MADV_DONTNEED, "forget", advise_drop, false },
	{ MADV_DONTNEED, "forget", advise_drop, false },
	{ MADV_FREE, "free", advise_free, false },
	{ MADV_REMOVE, "remove", advise_remove, false },
	{ MADV_DONTFORK, "don't fork", advise_dont_fork, false },
	{ MADV_DOFORK, "fork", advise_do_fork, false },
	{ MADV_WIPEONFORK, "wipe on fork", advise_wipe, false },
	{ MADV_KEEPONFORK, "keep on fork", advise_keep, false },
	{ MADV_WILLNEED, "will need", advise_nothing, false },
	{ MADV_RANDOM, "random", advise_nothing, false },
	{ MADV_SEQUENTIAL, "sequential", advise_nothing, false },
	{ MADV_NORMAL, "normal", advise_nothing, false },
	{ MADV_COLD, "cold", advise_nothing, false },
	{ MADV_POPULATE_READ_, "populate for reading", advise_nothing, true },
	{ MADV_POPULATE_WRITE_, "populate for writing", advise_write, true },
	{ MADV_POPULATE_WRITE_, "populate for writing", advise_write, true },
};

static void advise_shadow(const struct advice *advice, struct range r)
{
	for (int i = r.first; i < r.first + r.nr; i++) {
		if (!shadow[i].mapped && advice->stops_at_holes)
			return;
		if (shadow[i].mapped && !advice->advise(&shadow[i]))
			return;
	}
}

static void step_madvise(void)
{
	const struct advice *advice = &advices[below(sizeof(advices) / sizeof(advices[0]))];
	struct range r = some_range();

	if (advice->number == MADV_FREE && memory_is_short())
		return;
	tell("madvise %s: %s", words(r), advice->words);
	answer(CALL(SYS_madvise, at(r.first), r.nr * PAGE, advice->number));
	advise_shadow(advice, r);
}

/* Marks the pages up to the first hole, and faults them in only if there is no hole. */
static void step_mlock(void)
{
	struct range r = some_range();
	bool lock = !once_in(3), on_fault = lock && once_in(3);
	int run = mapped_run(r);

	tell("%s %s", on_fault ? "mlock on fault" : lock ? "mlock" : "munlock", words(r));
	if (on_fault)
		answer(CALL(SYS_mlock2, at(r.first), r.nr * PAGE, 1));
	else
		answer(CALL(lock ? SYS_mlock : SYS_munlock, at(r.first), r.nr * PAGE));
	for (int i = r.first; i < r.first + run; i++) {
		shadow[i].locked = lock;
		shadow[i].on_fault = on_fault;
	}
	if (lock && !on_fault && all_mapped(r))
		populate_shadow(r);
}

/* --- queries ---------------------------------------------------------------------------------------------------- */

static bool never_written(const struct page *p)
{
	return p->object != PRIVATE_ANON && objects->object[p->object].allocated;
}

static void step_mincore(void)
{
	unsigned char vec[NR_PAGES] = { 0 };
	struct range r = some_range();
	uint64_t bits = 0;

	tell("mincore %s", words(r));
	if (answer(CALL(SYS_mincore, at(r.first), r.nr * PAGE, vec)) < 0 || memory_is_short())
		return;
	for (int i = 0; i < r.nr; i++)
		bits = bits * 2 + (vec[i] & 1 & !never_written(&shadow[r.first + i]));
	tell("   resident: %#llx\n", (unsigned long long)bits);
	mix(bits);
}

static void step_msync(void)
{
	struct range r = some_range();
	int flags = below(8);

	tell("msync %s, flags %d", words(r), flags);
	answer(CALL(SYS_msync, at(r.first), r.nr * PAGE, flags));
}

/* --- calls that must be refused --------------------------------------------------------------------------------- */

static uint64_t absurd_address(void)
{
	static const uint64_t addresses[] = { 0xffffffff80000000, 0x7ffffffff000, 1UL << 47, -4096UL };

	return once_in(2) ? (uint64_t)at(below(NR_PAGES)) + 1 + below(PAGE - 1) : addresses[below(4)];
}

/* Each of these calls is wrong in some way. */
static void step_absurd(void)
{
	static const uint64_t lengths[] = { -1UL, -4096UL, 1UL << 47, 1UL << 63 }; /* the first two wrap */
	uint64_t page = (uint64_t)at(below(NR_PAGES)), odd = absurd_address(), huge = lengths[below(4)];
	int which = below(16);

	tell("absurd call %d, %#llx, %#llx", which, (unsigned long long)odd, (unsigned long long)huge);
	switch (which) {
	case 0:
		answer(CALL(SYS_mmap, odd, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		break;
	case 1:
		answer(CALL(SYS_mmap, page, huge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		break;
	case 2:
		answer(CALL(SYS_mmap, page, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		break;
	case 3:
		answer(CALL(SYS_mmap, page, PAGE, PROT_READ, MAP_FIXED | MAP_ANONYMOUS, -1, 0));
		break;
	case 4:
		answer(CALL(SYS_mmap, page, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE, 999, 0));
		break;
	case 5:
		answer(CALL(SYS_mmap, page, PAGE, PROT_READ, MAP_FIXED | MAP_SHARED, file[0], 17));
		break;
	case 6:
		answer(CALL(SYS_munmap, odd, PAGE));
		break;
	case 7:
		answer(CALL(SYS_munmap, page, once_in(2) ? 0 : huge));
		break;
	case 8:
		answer(CALL(SYS_mprotect, odd, PAGE, PROT_READ));
		break;
	case 9:
		answer(CALL(SYS_mprotect, page, once_in(2) ? 0 : lengths[below(2)], PROT_NONE));
		break;
	case 10:
		answer(CALL(SYS_mprotect, page, PAGE, once_in(2) ? 0x10 : PROT_GROWSUP | PROT_GROWSDOWN));
		break;
	case 11:
		answer(CALL(SYS_mremap, odd, PAGE, 2 * PAGE, 0));
		break;
	case 12:
		answer(CALL(SYS_mremap, page, PAGE, PAGE, once_in(2) ? MREMAP_FIXED : 8, page));
		break;
	case 13:
		answer(CALL(SYS_mremap, page, 3 * PAGE, 3 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, page + PAGE));
		break;
	case 14:
		answer(CALL(SYS_madvise, once_in(2) ? odd : page, PAGE, once_in(2) ? 99 : -1));
		break;
	default:
		answer(CALL(once_in(2) ? SYS_mlock : SYS_msync, page, lengths[below(2)], 7));
	}
}

#endif
