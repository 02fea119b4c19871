/* SPDX-License-Identifier: MIT */
/* Texts that grow (text.h), as lists of chunks, since a text may be larger than any one allocation. Takes no lock. */
#include "kernel/fs/text.h"
#include "kernel/fs/ramfs.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"

#define UNCHECKED_LENGTH 65536 /* bytes; only longer texts need room for files */

struct text_chunk {
	struct text_chunk *next;
	size_t start; /* position in the text */
	size_t used;
	char bytes[PAGE_SIZE - 24];
};

struct text *text_create(void)
{
	struct text *text = kmalloc(sizeof(*text), ALLOC_ZERO | ALLOC_WAIT);

	if (text)
		text->refcount = 1;
	return text;
}

void text_put(struct text *text)
{
	struct text_chunk *next;

	if (atomic_dec_return(&text->refcount))
		return;
	for (struct text_chunk *chunk = text->first; chunk; chunk = next) {
		next = chunk->next;
		kfree(chunk);
	}
	kfree(text);
}

/* Returns a chunk to write to, with room in it, or NULL. */
static struct text_chunk *text_room(struct text *text)
{
	struct text_chunk *chunk = text->last;

	if (chunk && chunk->used < sizeof(chunk->bytes))
		return chunk;
	if (text->length > UNCHECKED_LENGTH && !ramfs_has_room(1))
		return NULL; /* many long texts kept open must not use up all memory */
	chunk = kmalloc(sizeof(*chunk), ALLOC_WAIT);
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->start = text->length;
	chunk->used = 0;
	if (text->last)
		text->last->next = chunk;
	else
		text->first = chunk;
	text->last = chunk;
	return chunk;
}

void text_append(struct text *text, const void *bytes, size_t n)
{
	const char *from = bytes;

	while (n && !text->failed) {
		struct text_chunk *chunk = text_room(text);

		text->failed = !chunk;
		if (!chunk)
			return;
		size_t part = min(n, sizeof(chunk->bytes) - chunk->used);
		memcpy(chunk->bytes + chunk->used, from, part);
		chunk->used += part;
		text->length += part;
		from += part;
		n -= part;
	}
}

void text_printf(struct text *text, const char *fmt, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, fmt);
	n = kvsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	text_append(text, line, min((size_t)n, sizeof(line) - 1));
}

void text_pad(struct text *text, size_t start, size_t width)
{
	while (text->length < start + width && !text->failed)
		text_append(text, " ", 1);
}

/*
 * Returns the chunk with the byte at pos, or NULL beyond the end. The search starts at the chunk that the last reader
 * found, unless that lies beyond pos. Other readers may change it at any time, but any chunk is a valid start.
 */
static struct text_chunk *chunk_at(struct text *text, u64 pos)
{
	struct text_chunk *chunk = READ_ONCE(text->found);

	if (!chunk || chunk->start > pos)
		chunk = text->first;
	while (chunk && pos >= chunk->start + chunk->used)
		chunk = chunk->next;
	if (chunk)
		WRITE_ONCE(text->found, chunk);
	return chunk;
}

long text_read(struct text *text, struct iov_iter *to, u64 *pos)
{
	struct text_chunk *chunk;
	long done = 0;

	while (to->count && (chunk = chunk_at(text, *pos)) != NULL) {
		size_t skip = *pos - chunk->start;
		size_t n = min(to->count, chunk->used - skip);
		size_t moved = iov_copy_to(to, chunk->bytes + skip, n);
		*pos += moved;
		done += (long)moved;
		if (moved < n)
			return done ? done : -EFAULT;
	}
	return done;
}
