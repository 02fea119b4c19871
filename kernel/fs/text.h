/* SPDX-License-Identifier: MIT */
/* A text that grows while it is written, and is then read in pieces: the contents of a file of /proc. */
#ifndef KERNEL_FS_TEXT_H
#define KERNEL_FS_TEXT_H

#include "kernel/fs/iov.h"
#include "kernel/lib/print.h"

struct text_chunk;

struct text {
	u32 refcount;  /* atomic; a text that is being read no longer changes */
	bool failed;   /* memory was short: the text is not complete */
	size_t length; /* bytes */
	struct text_chunk *first, *last;
	struct text_chunk *found; /* where the last reader was; readers share it without a lock */
};

/*
 * Returns an empty text with one reference, or NULL. Writing may wait for memory, so it needs a context that may
 * reclaim.
 */
struct text *text_create(void);
void text_put(struct text *text);
void text_append(struct text *text, const void *bytes, size_t n);
void text_printf(struct text *text, const char *fmt, ...) __printf(2, 3); /* up to 1023 bytes */
/* Appends spaces until there are `width` bytes after position `start`. */
void text_pad(struct text *text, size_t start, size_t width);
/* Copies the bytes at *pos and advances *pos. Returns their number or -EFAULT. May fault, so sleep. */
long text_read(struct text *text, struct iov_iter *to, u64 *pos);

#endif
