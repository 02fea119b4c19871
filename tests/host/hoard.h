/* SPDX-License-Identifier: MIT */
/* Free memory that a test takes away, so that little is left; it needs none for itself. */
#ifndef HOST_HOARD_H
#define HOST_HOARD_H

#include "test.h"

struct hoard {
	unsigned order; /* of the blocks */
	void **first;	/* each block begins with the address of the next */
};

/* Takes blocks while more than `left` pages are free; 0: as long as any is found. */
void hoard_take(struct hoard *hoard, u64 left);
/* Frees so many blocks, or all there are. */
void hoard_give(struct hoard *hoard, u64 nr);
void hoard_give_all(struct hoard *hoard);

#endif
