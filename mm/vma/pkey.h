/* SPDX-License-Identifier: MIT */
/*
 * Memory protection keys: each VMA has one of 16, each thread has rights to each key, in a register that user mode
 * writes. The set of keys in use belongs to the address space, under mmap_lock. Where the CPU has no keys, every VMA
 * has key 0, which no fault checks.
 *
 * Execute-only memory gets a key of its own, which permits no thread to read.
 */
#ifndef MM_PKEY_H
#define MM_PKEY_H

#include "mm/vma/vma.h"

/* `rights`: a value of keys_read(). */
static inline bool key_permits(u32 rights, unsigned key, bool write)
{
	return !(rights >> 2 * key & (write ? KEY_NO_ACCESS | KEY_NO_WRITE : KEY_NO_ACCESS));
}

/* Initializes a new address space: key 0 is in use. */
void mm_keys_init(struct mm *mm);

/*
 * Allocates a free key and sets the running thread's rights to it (KEY_*). Returns the key; -ENOSPC; -EINVAL where
 * there are no keys. => mmap_lock held for writing.
 */
int mm_key_alloc(struct mm *mm, u32 rights);
/*
 * Frees a key. 0, or -EINVAL if it is not in use, or not the caller's to free. VMAs that have it keep it. => mmap_lock
 * held for writing.
 */
int mm_key_free(struct mm *mm, int key);
/* => mmap_lock held. */
bool mm_key_in_use(const struct mm *mm, int key);

/* VM_PKEY bits of a new mapping with these rights (PROT_*). => mmap_lock held for writing. */
u64 mm_key_flags(struct mm *mm, u64 prot);
/* The same for a VMA that mprotect gives other rights; key -1: the caller named none. => mmap_lock held for writing. */
u64 vma_key_flags(struct vma *vma, u64 prot, int key);

/*
 * The key at addr, for a signal to report. It may have changed since the fault. Sleeps. => no lock from RANK_MMAP_LOCK
 * on held.
 */
unsigned mm_key_at(struct mm *mm, vaddr_t addr);

#endif
