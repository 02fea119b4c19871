/* SPDX-License-Identifier: MIT */
/*
 * mmfuzz's steps on contents: accesses by the CPU and by the kernel, files that change under their mappings, and the
 * heap.
 */
#ifndef USER_MMFUZZ_DATA_H
#define USER_MMFUZZ_DATA_H

#include "user/fuzz/mmfuzz_steps.h"

#define HEAP_PAGES 16
#define FILE_BYTES (OBJECT_PAGES * PAGE)

static char *heap;
static int heap_pages;
static char heap_value[HEAP_PAGES];

/* --- accesses by the CPU ---------------------------------------------------------------------------------------- */

static void store_word(int page, uint64_t offset, uint64_t value)
{
	struct outcome want = predict(page, true);
	volatile uint64_t *word = (volatile uint64_t *)(at(page) + offset);
	int signo;

	if (!want.signo && shadow[page].prot)
		settle_lazy(page);
	signo = CATCH(*word = value);
	if (as_predicted(want, page, (char *)word, signo))
		memcpy(writable_contents(&shadow[page]) + offset, &value, sizeof(value));
}

static void step_write(void)
{
	int page = below(NR_PAGES);
	uint64_t offset = below(PAGE / 8) * 8;

	tell("write to page %d at %#llx", page, (unsigned long long)offset);
	store_word(page, offset, next_random());
	tell(": signal %d\n", caught.signo);
}

static void step_write_range(void)
{
	struct range r = some_range();
	uint64_t offset = below(PAGE / 8) * 8, value = next_random();

	tell("write to each of %s at %#llx\n", words(r), (unsigned long long)offset);
	for (int i = r.first; i < r.first + r.nr; i++)
		store_word(i, offset, value + i);
}

static void step_read(void)
{
	struct range r = some_range();

	tell("read %s\n", words(r));
	for (int i = r.first; i < r.first + r.nr; i++)
		check_page(i);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void grow_object(struct object *object, uint64_t size)
{
	if (size > object->size)
		resize_object(object, size);
}

static void step_truncate(void)
{
	int which = below(NR_FILES);
	uint64_t size = once_in(2) ? below(OBJECT_PAGES + 1) * PAGE : below(FILE_BYTES + 1);

	tell("truncate file %d to %#llx", which, (unsigned long long)size);
	if (answer(CALL(SYS_ftruncate, file[which], size)) == 0)
		resize_object(&objects->object[which], size);
}

static void step_fallocate(void)
{
	int which = below(NR_FILES), mode = once_in(3) ? 0 : 3; /* FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE */
	uint64_t from = below(FILE_BYTES), len = 1 + below(FILE_BYTES - from);

	if (once_in(2))
		from &= ~(PAGE - 1);
	tell("%s file %d from %#llx, %#llx bytes", mode ? "punch a hole in" : "allocate", which,
	     (unsigned long long)from, (unsigned long long)len);
	if (answer(CALL(SYS_fallocate, file[which], mode, from, len)) < 0)
		return;
	if (mode) {
		zero_object(&objects->object[which], from, from + len);
		return;
	}
	grow_object(&objects->object[which], from + len);
	objects->object[which].allocated = true;
}

/* Writes from a buffer of our own, so that the call never ends early. */
static void step_pwrite(void)
{
	static uint64_t buffer[3 * PAGE / 8];
	int which = below(NR_FILES);
	uint64_t len = 1 + below(sizeof(buffer)), from = below(FILE_BYTES - len);

	tell("write %#llx bytes to file %d at %#llx", (unsigned long long)len, which, (unsigned long long)from);
	for (uint64_t i = 0; i < len / 8 + 1 && i < sizeof(buffer) / 8; i++)
		buffer[i] = random_state + i;
	if (answer(CALL(SYS_pwrite64, file[which], buffer, len, from)) != (long)len)
		return;
	grow_object(&objects->object[which], from + len);
	memcpy(objects->object[which].data + from, buffer, len);
}

static void step_pread(void)
{
	static unsigned char buffer[3 * PAGE];
	int which = below(NR_FILES);
	uint64_t len = 1 + below(sizeof(buffer)), from = below(FILE_BYTES);
	long got;

	tell("read %#llx bytes of file %d at %#llx", (unsigned long long)len, which, (unsigned long long)from);
	got = answer(CALL(SYS_pread64, file[which], buffer, len, from));
	if (got > 0 && (from + got > FILE_BYTES || memcmp(buffer, objects->object[which].data + from, got) != 0))
		fail("file %d does not read as it was written", which);
}

/* --- accesses by the kernel ------------------------------------------------------------------------------------- */

/* Returns true if pages of the range map the file itself: a copy between a page and itself has no unique result. */
static bool maps_file(struct range r, int which)
{
	for (int i = r.first; i < r.first + r.nr; i++)
		if (shadow[i].mapped && shadow[i].object == which)
			return true;
	return false;
}

/* Returns how many bytes a copy from or to the range transfers before it faults, page by page. */
static uint64_t reachable(struct range r, uint64_t offset, uint64_t len, bool write)
{
	uint64_t done = 0;

	for (int i = r.first; done < len; i++) {
		uint64_t part = PAGE - (offset + done) % PAGE;

		if (i == r.first + r.nr || predict(i, write).signo)
			break;
		settle_lazy(i);
		done += part < len - done ? part : len - done;
	}
	return done;
}

static void step_pread_into(void)
{
	struct range r = some_range();
	int which = below(NR_FILES);
	struct object *object = &objects->object[which];
	uint64_t offset = below(PAGE), len = 1 + below(r.nr * PAGE - offset), from = below(FILE_BYTES), want;
	long got;

	if (maps_file(r, which))
		return;
	tell("read %#llx bytes of file %d at %#llx into %s", (unsigned long long)len, which, (unsigned long long)from,
	     words(r));
	want = from >= object->size ? 0 : from + len > object->size ? object->size - from : len;
	want = reachable(r, offset, want, true);
	got = answer(CALL(SYS_pread64, file[which], at(r.first) + offset, len, from));
	if ((got < 0 ? 0 : got) != (long)want)
		fail("%ld bytes read, expected %ld", got, (long)want);
	if (got < 0)
		return;
	for (uint64_t done = 0; done < (uint64_t)got; done++) {
		uint64_t place = offset + done;

		writable_contents(&shadow[r.first + place / PAGE])[place % PAGE] = object->data[from + done];
	}
}

static void step_pwrite_from(void)
{
	struct range r = some_range();
	int which = below(NR_FILES);
	struct object *object = &objects->object[which];
	uint64_t offset = below(PAGE), len = 1 + below(r.nr * PAGE - offset), from = below(FILE_BYTES), want;
	long done;

	if (maps_file(r, which))
		return;
	if (len > FILE_BYTES - from)
		len = FILE_BYTES - from;
	want = reachable(r, offset, len, false);
	if (!want) { /* on newer Linux, a write that copies nothing may still extend a file in memory */
		check_page(r.first);
		return;
	}
	tell("write %#llx bytes from %s to file %d at %#llx", (unsigned long long)len, words(r), which,
	     (unsigned long long)from);
	done = answer(CALL(SYS_pwrite64, file[which], at(r.first) + offset, len, from));
	if ((done < 0 ? 0 : done) != (long)want)
		fail("%ld bytes written, expected %ld", done, (long)want);
	if (done <= 0)
		return;
	grow_object(object, from + done);
	for (uint64_t i = 0; i < (uint64_t)done; i++)
		object->data[from + i] = contents(&shadow[r.first + (offset + i) / PAGE])[(offset + i) % PAGE];
}

/* --- the heap --------------------------------------------------------------------------------------------------- */

static void heap_begin(void)
{
	uint64_t end = CALL(SYS_brk, 0);

	heap = (char *)((end + 2 * PAGE - 1) & ~(PAGE - 1));
	heap_pages = 0;
	MUST(CALL(SYS_brk, heap) == (long)heap);
}

static void step_brk(void)
{
	int pages = below(HEAP_PAGES + 1);

	tell("brk to %d pages", pages);
	answer(CALL(SYS_brk, heap + pages * PAGE) - (long)heap);
	for (int i = heap_pages; i < pages; i++)
		heap_value[i] = 0;
	heap_pages = pages;
}

static void step_heap(void)
{
	int page = below(HEAP_PAGES);
	char value = below(256);
	volatile char seen = 0;
	int signo;

	tell("heap page %d\n", page);
	signo = CATCH(seen = peek(heap + page * PAGE));
	mix(signo * 256 + caught.code);
	if ((signo != 0) != (page >= heap_pages))
		fail("heap page %d of %d raises signal %d", page, heap_pages, signo);
	if (signo)
		return;
	if (seen != heap_value[page])
		fail("heap page %d holds %d, expected %d", page, seen, heap_value[page]);
	poke(heap + page * PAGE, value);
	heap_value[page] = value;
}

#endif
