/* SPDX-License-Identifier: MIT */
/* The system calls of memory protection keys, which mm/vma/pkey.c implements. They take mmap_lock for writing. */
#include "kernel/lib/errno.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "mm/calls/mmap.h"
#include "mm/vma/pkey.h"

SYSCALL(pkey_alloc)
{
	struct mm *mm = current->mm;
	long key;

	if (a0 || a1 & ~(u64)(KEY_NO_ACCESS | KEY_NO_WRITE))
		return -EINVAL;
	mmap_write_lock(mm);
	key = mm_key_alloc(mm, (u32)a1);
	mmap_write_unlock(mm);
	return key;
}

SYSCALL(pkey_free)
{
	struct mm *mm = current->mm;
	long error;

	mmap_write_lock(mm);
	error = mm_key_free(mm, (int)a0);
	mmap_write_unlock(mm);
	return error;
}

SYSCALL(pkey_mprotect)
{
	return mm_mprotect(current->mm, a0, a1, a2, (int)a3);
}
