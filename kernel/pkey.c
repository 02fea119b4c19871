/* SPDX-License-Identifier: MIT */
/* Memory protection keys, as on a CPU that has none: there is only the default key, which is no key. */
#include "kernel/errno.h"
#include "kernel/syscall.h"
#include "kernel/task.h"
#include "mm/mmap.h"

#define PKEY_ACCESS_MASK 3UL

SYSCALL(pkey_alloc)
{
	return a0 || (a1 & ~PKEY_ACCESS_MASK) ? -EINVAL : -ENOSPC;
}

SYSCALL(pkey_free)
{
	return -EINVAL;
}

SYSCALL(pkey_mprotect)
{
	return (s32)a3 == -1 ? mm_mprotect(current->mm, a0, a1, a2) : -EINVAL;
}
