/* SPDX-License-Identifier: MIT */
/*
 * A hoard: free memory that a test takes away so that little is left. It keeps its list in the blocks and allocates
 * nothing else.
 */
#ifndef HOST_HOARD_H
#define HOST_HOARD_H

#include "test.h"

struct hoard {
	unsigned order; /* of the blocks */
	void **first;	/* each block begins with the address of the next */
};

/* Takes blocks while more than `left` pages are free; with 0, until an allocation fails. */
void hoard_take(struct hoard *hoard, u64 left);
/* Frees nr blocks, or all of them. */
void hoard_give(struct hoard *hoard, u64 nr);
void hoard_give_all(struct hoard *hoard);

#endif
