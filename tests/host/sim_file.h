/* SPDX-License-Identifier: MIT */
/*
 * A file whose contents are on a simulated disk: one word per page, at its start. Its reads and writes complete at once
 * or when the test completes them, with success or an error.
 */
#ifndef HOST_SIM_FILE_H
#define HOST_SIM_FILE_H

#include "mm/cache/mapping.h"

#define SIM_FILE_PAGES 64

enum sim_io { SIM_IO_AT_ONCE, SIM_IO_HELD };

struct sim_file {
	struct mapping *mapping;
	u64 disk[SIM_FILE_PAGES]; /* atomic words */
	spinlock_t lock;	  /* RANK_LEAF; protects the next two members */
	struct page *held[SIM_FILE_PAGES];
	unsigned nr_held;

	/* Set by the test, read by the threads that do I/O. */
	enum sim_io reads, writes;
	int error; /* of I/O that completes at once, and of page_mkwrite() */
	bool throttles;
	/* Atomic. */
	u32 nr_reads, nr_writes, nr_mkwrites, nr_throttled;
};

/* Creates a file of so many pages. Each page of the disk holds its index + 1000. */
struct sim_file *sim_file_create(u64 pages);
/* => nobody maps it, no I/O is held. */
void sim_file_destroy(struct sim_file *file);
vaddr_t sim_file_map(struct mm *mm, struct sim_file *file, u64 pages, u64 flags);
/* Wait until nr pages are held under I/O, and complete the I/O of all of them. */
void sim_file_wait_held(struct sim_file *file, unsigned nr);
void sim_file_end_io(struct sim_file *file, int error);

#endif
