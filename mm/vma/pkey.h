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

/* @rights: a value of keys_read(). Context: any. */
static inline bool key_permits(u32 rights, unsigned key, bool write)
{
	return !(rights >> 2 * key & (write ? KEY_NO_ACCESS | KEY_NO_WRITE : KEY_NO_ACCESS));
}

/* Initializes a new address space: key 0 is in use. Context: thread, its creator. Does not sleep. */
void mm_keys_init(struct mm *mm);

/*
 * Allocates a free key and sets the running thread's rights to it (KEY_*).
 *
 * Context: mmap_lock held for writing. Does not sleep.
 * Returns: the key; -ENOSPC; -EINVAL where there are no keys.
 */
int mm_key_alloc(struct mm *mm, u32 rights);
/*
 * Frees a key. VMAs that have it keep it.
 *
 * Context: mmap_lock held for writing. Does not sleep.
 * Returns: 0; -EINVAL if it is not in use, or not the caller's to free.
 */
int mm_key_free(struct mm *mm, int key);
/* May a program name the key? Context: mmap_lock held. Does not sleep. Returns: true if it may. */
bool mm_key_in_use(const struct mm *mm, int key);

/*
 * The key of a new mapping with these rights (PROT_*).
 *
 * Context: mmap_lock held for writing. Does not sleep.
 * Returns: VM_PKEY bits.
 */
u64 mm_key_flags(struct mm *mm, u64 prot);
/*
 * The same for a VMA that mprotect gives other rights.
 * @key: -1: the caller named none.
 *
 * Context: mmap_lock held for writing. Does not sleep.
 * Returns: VM_PKEY bits.
 */
u64 vma_key_flags(struct vma *vma, u64 prot, int key);

/*
 * The key at addr, for a signal to report. It may have changed since the fault.
 *
 * Context: no lock from RANK_MMAP_LOCK on held. Sleeps.
 * Returns: the key; 0 where nothing is mapped.
 */
unsigned mm_key_at(struct mm *mm, vaddr_t addr);

#endif
