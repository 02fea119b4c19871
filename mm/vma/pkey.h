/* SPDX-License-Identifier: MIT */
/*
 * Memory protection keys: each VMA has one of 16, each thread has rights to each key, in a register that user mode
 * writes. Which keys are in use is the address space's, under mmap_lock. Where the CPU has no keys, every VMA has key
 * 0, which no fault asks about.
 *
 * Memory that may be executed and nothing else gets a key of its own, which no thread may read by.
 */
#ifndef MM_PKEY_H
#define MM_PKEY_H

#include "mm/vma/vma.h"

/* `rights`: a value of keys_read(). */
static inline bool key_permits(u32 rights, unsigned key, bool write)
{
	return !(rights >> 2 * key & (write ? KEY_NO_ACCESS | KEY_NO_WRITE : KEY_NO_ACCESS));
}

/* A new address space: key 0 is in use. */
void mm_keys_init(struct mm *mm);

/*
 * A key that nobody uses, and rights to it (KEY_*) for the running thread. The key; -ENOSPC; -EINVAL where there are no
 * keys. => mmap_lock held for writing.
 */
int mm_key_alloc(struct mm *mm, u32 rights);
/*
 * 0, or -EINVAL if it is not in use, or not the caller's to give back. VMAs that have it keep it. => mmap_lock held for
 * writing.
 */
int mm_key_free(struct mm *mm, int key);
/* => mmap_lock held. */
bool mm_key_in_use(const struct mm *mm, int key);

/* VM_PKEY bits of a new mapping with these rights (PROT_*). => mmap_lock held for writing. */
u64 mm_key_flags(struct mm *mm, u64 prot);
/* The same for a VMA that mprotect gives other rights; key -1: the caller named none. => mmap_lock held for writing. */
u64 vma_key_flags(struct vma *vma, u64 prot, int key);

/*
 * The key at addr: what a signal tells. It may be another one by then. Sleeps. => no lock from RANK_MMAP_LOCK on held.
 */
unsigned mm_key_at(struct mm *mm, vaddr_t addr);

#endif
