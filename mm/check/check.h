/* SPDX-License-Identifier: MIT */
/*
 * What must hold whenever nothing is going on: no fault, no system call, no thread of a user program anywhere. Each
 * check logs every violation in a sentence.
 */
#ifndef MM_CHECK_H
#define MM_CHECK_H

#include "kernel/lib/base.h"

/*
 * Remembers what is in use now, before the first program. What is in use later and was not then, has leaked. Sleeps:
 * waits for RCU call-backs.
 */
void mm_check_baseline(void);
/* All of the checks below; true when all hold. Every process is gone, and the machine is quiet. Sleeps. */
bool mm_quiet_check(void);

/* For each strategy: attempts = answered + completed + would block + the sum of its reasons. */
bool check_counters(void);
/* The trees of the reverse map know the bounds of every VMA; and every page is found by it as often as it is mapped. */
bool check_rmap(void);
/* All page tables together hold as many entries that map a counted page as all pages together believe. */
bool check_mapcounts(void);
/* Every page of a mapping sits in its slot, with one reference for the slot and one for each entry. */
bool check_mappings(void);
/* Every address space counts the VMAs, pages and page tables that it holds. */
bool check_address_spaces(void);
/* Every mapping counts its pages, so does shared memory as a whole, and a clean page of a file cannot be written to without a fault. */
bool check_mapping_counts(void);
/* Every swap slot counts the entries that name it, and no page is in a slot that nobody names. */
bool check_swap(void);
/* As many objects of mm/'s own caches are in use as at the baseline. No RCU call-back is pending. */
bool check_objects(void);
/* As many pages are in use for each purpose as at the baseline, and as many as their owners count. Likewise. */
bool check_pages(void);

#endif
