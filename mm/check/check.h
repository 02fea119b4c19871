/* SPDX-License-Identifier: MIT */
/*
 * Checks of what must hold while the machine is quiet: no fault, no system call, no thread of a user program anywhere.
 * Each check logs every violation in a sentence.
 */
#ifndef MM_CHECK_H
#define MM_CHECK_H

#include "kernel/lib/base.h"

/*
 * Records what is in use before the first program runs. What a later check finds in use in addition has leaked. Waits
 * for RCU call-backs.
 *
 * Context: thread. Sleeps.
 */
void mm_check_baseline(void);
/*
 * Runs all checks below.
 *
 * Context: the machine is quiet, and every process is gone. Sleeps.
 * Returns: true if all hold.
 */
bool mm_quiet_check(void);

/* ---- The checks. Context: the machine is quiet. Sleep only for mmap_lock. Returns: true if it holds. ------------- */
/* For each strategy: attempts = answered + completed + would block + the sum of its reasons. */
bool check_counters(void);
/* The trees of the reverse map hold the bounds of every VMA; and a walk finds every page as often as it is mapped. */
bool check_rmap(void);
/* The number of entries in all page tables that map a counted page equals the sum of all pages' mapcounts. */
bool check_mapcounts(void);
/* Every page of a mapping sits in its slot, with one reference for the slot and one for each entry. */
bool check_mappings(void);
/* Every address space's counts of VMAs, pages and page tables equal what it holds. */
bool check_address_spaces(void);
/*
 * Every mapping's count of pages equals what it holds, as does the count of all shared memory; and a clean page of a
 * file cannot be written to without a fault.
 */
bool check_mapping_counts(void);
/* All swap slots together count as many entries as name a slot, and no page is in a slot that no entry names. */
bool check_swap(void);
/* As many objects of mm/'s own caches are in use as at the baseline. No RCU call-back is pending. */
bool check_objects(void);
/*
 * As many pages are in use for each purpose as at the baseline, and as many as their owners count. No RCU call-back is
 * pending.
 */
bool check_pages(void);

#endif
