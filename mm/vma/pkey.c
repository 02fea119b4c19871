/* SPDX-License-Identifier: MIT */
/*
 * Allocates, frees and looks up protection keys; see pkey.h. mmap_lock is held for writing, unless stated otherwise.
 *
 * Mirrors: Linux, arch/x86/mm/pkeys.c and include/asm/pkeys.h; on a CPU without keys, its exact return values too.
 */
#include "mm/vma/pkey.h"
#include "kernel/lib/errno.h"
#include "mm/vma/mman.h"

void mm_keys_init(struct mm *mm)
{
	bool any = nr_keys() > 1;

	mm->keys = any; /* key 0 */
	mm->execute_only_key = any ? -1 : 0;
}

bool mm_key_in_use(const struct mm *mm, int key)
{
	assert_mmap_locked(mm);
	return key >= 0 && key < (int)nr_keys() && key != mm->execute_only_key && mm->keys >> key & 1;
}

/* Takes the lowest free key. Returns it, or -ENOSPC. */
static int take_key(struct mm *mm)
{
	for (unsigned key = 0; key < nr_keys(); key++) {
		if (mm->keys >> key & 1)
			continue;
		mm->keys |= (u16)(1u << key);
		return (int)key;
	}
	return -ENOSPC;
}

static void set_rights(unsigned key, u32 rights)
{
	u32 all = keys_read() & ~((KEY_NO_ACCESS | KEY_NO_WRITE) << 2 * key);

	keys_write(all | rights << 2 * key);
}

int mm_key_alloc(struct mm *mm, u32 rights)
{
	int key;

	assert_mmap_write_locked(mm);
	key = take_key(mm);
	if (key < 0)
		return key;
	if (nr_keys() == 1)
		return -EINVAL; /* and key 0 stays taken: the next call returns -ENOSPC */
	set_rights((unsigned)key, rights);
	return key;
}

int mm_key_free(struct mm *mm, int key)
{
	assert_mmap_write_locked(mm);
	if (!mm_key_in_use(mm, key))
		return -EINVAL;
	mm->keys &= (u16) ~(1u << key);
	return 0;
}

/* The execute-only key, allocated when first needed. 0: none is free, and executable memory is readable as well. */
static unsigned execute_only_key(struct mm *mm)
{
	if (mm->execute_only_key < 0) {
		int key = take_key(mm);

		if (key < 0)
			return 0;
		mm->execute_only_key = (s8)key;
		set_rights((unsigned)key, KEY_NO_ACCESS);
	} else if (key_permits(keys_read(), (unsigned)mm->execute_only_key, false)) {
		/* Another thread allocated it, or the program granted itself access. */
		set_rights((unsigned)mm->execute_only_key, KEY_NO_ACCESS);
	}
	return (unsigned)mm->execute_only_key;
}

u64 mm_key_flags(struct mm *mm, u64 prot)
{
	assert_mmap_write_locked(mm);
	return nr_keys() > 1 && prot == PROT_EXEC ? (u64)execute_only_key(mm) << VM_PKEY_SHIFT : 0;
}

static bool is_execute_only(const struct vma *vma)
{
	return (vma->flags & VM_ACCESS) == VM_EXEC && (int)vma_flags_key(vma->flags) == vma->mm->execute_only_key;
}

u64 vma_key_flags(struct vma *vma, u64 prot, int key)
{
	u64 flags = vma->flags & VM_PKEY;

	assert_mmap_write_locked(vma->mm);
	if (nr_keys() == 1)
		return 0;
	if (key >= 0)
		return (u64)key << VM_PKEY_SHIFT;
	if (prot == PROT_EXEC) {
		u64 hidden = mm_key_flags(vma->mm, prot);

		return hidden ? hidden : flags;
	}
	return is_execute_only(vma) ? 0 : flags;
}

unsigned mm_key_at(struct mm *mm, vaddr_t addr)
{
	const struct vma *vma;
	unsigned key;

	assert_no_lock_from(RANK_MMAP_LOCK);
	mmap_read_lock(mm);
	vma = vma_tree_find(&mm->tree, addr);
	key = vma ? vma_flags_key(vma->flags) : 0;
	mmap_read_unlock(mm);
	return key;
}
