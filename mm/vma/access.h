/* SPDX-License-Identifier: MIT */
/* May a VMA be accessed in this way? The check that every fault makes, and calls that foresee one. */
#ifndef MM_ACCESS_H
#define MM_ACCESS_H

#include "mm/fault.h"
#include "mm/vma/pkey.h"
#include "mm/vma/vma.h"

/* ---- May the access succeed? Context: any. ----------------------------------------------------------------------- */
/*
 * Does a VMA with these flags permit the access? As on x86 Linux: what can be written or executed can be read.
 *
 * Returns: true if it does.
 */
static inline bool vma_permits(u64 vm_flags, enum fault_access access)
{
	switch (access) {
	case ACCESS_WRITE:
		return vm_flags & VM_WRITE;
	case ACCESS_EXEC:
		return vm_flags & VM_EXEC;
	default:
		return vm_flags & VM_ACCESS;
	}
}

/*
 * Do the rights of the running thread permit a data access under the VMA's protection key? Keys restrict neither
 * instruction fetches nor foreign accesses: a thread that accesses another address space opens all keys while it does
 * (process_vm.c). As in seed 003 and in Linux.
 *
 * Returns: true if they do.
 */
static inline bool arch_vma_access_permitted(u64 vm_flags, enum fault_access access)
{
	if (access == ACCESS_EXEC || nr_keys() == 1)
		return true;
	return key_permits(keys_read(), vma_flags_key(vm_flags), access == ACCESS_WRITE);
}

/*
 * The access check of every strategy. The key is checked first, as in Linux.
 *
 * Returns: FAULT_DONE; FAULT_NO_KEY or FAULT_NO_ACCESS if the access is refused.
 */
static inline enum fault_answer fault_check_access(u64 vm_flags, enum fault_access access)
{
	if (unlikely(!arch_vma_access_permitted(vm_flags, access)))
		return FAULT_NO_KEY;
	return likely(vma_permits(vm_flags, access)) ? FAULT_DONE : FAULT_NO_ACCESS;
}

#endif
