/* SPDX-License-Identifier: MIT */
/* Which strategies a fault tries, and in which order; and how speculation validates. */
#ifndef MM_POLICY_H
#define MM_POLICY_H

#include "mm/reasons.h"
#include "mm/vma/mm.h"

struct fault_strategy;

enum spf_validate {
	SPF_VALIDATE_VMA, /* per-VMA count (Zijlstra, Dufour): an unrelated mmap does no harm */
	SPF_VALIDATE_MM,  /* mm-wide count (Lespinasse): the VMA is not touched after the snapshot */
};

/* System-wide settings. Any CPU may write them while faults read them: each fault samples them once. */
extern u8 fault_policy_default; /* enum fault_policy, never POLICY_DEFAULT */
extern u8 spf_validate;		/* enum spf_validate */
extern u8 spf_single_thread;	/* 1: speculate even with one thread, to measure what it would gain */

/*
 * The strategies of mm's policy. Reads the policy once, unlocked: a fault keeps the list it got.
 *
 * Context: any.
 * Returns: a NULL-terminated list.
 */
const struct fault_strategy *const *policy_strategies(const struct mm *mm);

/*
 * Names: "mmap", "vma", "spec", "full" and "vma", "mm". text[len] need not be NUL.
 *
 * Context: any.
 * Returns: the number; -EINVAL if there is no such name.
 */
int fault_policy_parse(const char *text, size_t len);
int spf_validate_parse(const char *text, size_t len);

/* ---- Settings. Context: any. ------------------------------------------------------------------------------------- */
/* The names of settings. Returns: the name. */
const char *fault_policy_name(enum fault_policy policy);
const char *spf_validate_name(enum spf_validate validate);

/*
 * For prctl.
 * @policy: 0 … NR_POLICIES - 1.
 *
 * Returns: 0; -EINVAL.
 */
int mm_set_policy(struct mm *mm, unsigned long policy);

#endif
