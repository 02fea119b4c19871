/* SPDX-License-Identifier: MIT */
/*
 * Access to user memory, for which these functions are the only way. A bad address makes the copy fail, never the
 * kernel: each instruction that accesses user memory has an entry in the exception table.
 *
 * The plain forms may fault the page in, so they may sleep: no spinlock, no mmap_lock, no RCU section. The `nofault`
 * forms never sleep and never fault in; they fail where a page is not present.
 */
#ifndef KERNEL_UACCESS_H
#define KERNEL_UACCESS_H

#include "kernel/lib/base.h"

/* One past the last user address. */
#define USER_END 0x7ffffffff000UL

/* Returns true if bits 63 to 48 repeat bit 47. A CPU raises #GP or #SS, not #PF, for an access to any other address. */
static inline bool addr_is_canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

static inline bool access_ok(vaddr_t addr, u64 size)
{
	return size <= USER_END && addr <= USER_END - size;
}

/* Return the number of bytes that were not copied: 0 means all were. */
u64 __must_check copy_from_user(void *dst, vaddr_t src, u64 size);
u64 __must_check copy_to_user(vaddr_t dst, const void *src, u64 size);
u64 __must_check clear_user(vaddr_t dst, u64 size);
u64 __must_check copy_from_user_nofault(void *dst, vaddr_t src, u64 size);
u64 __must_check copy_to_user_nofault(vaddr_t dst, const void *src, u64 size);

/* Copies a string with its NUL. Returns its length without the NUL, `size` if it does not fit, or -EFAULT. */
long __must_check strncpy_from_user(char *dst, vaddr_t src, u64 size);

/* Copy one naturally sized value: `*(value)` has 1, 2, 4 or 8 bytes. Return: 0 or -EFAULT. */
#define get_user(value, addr) (copy_from_user((value), (addr), sizeof(*(value))) ? -14 : 0)
#define put_user(value, addr)                                                                                          \
	({                                                                                                             \
		typeof(value) _put_value = (value);                                                                    \
		copy_to_user((addr), &_put_value, sizeof(_put_value)) ? -14 : 0;                                       \
	})

/*
 * Atomics on an aligned 32-bit user word. They set *old to the word's previous value. Return: 0 or -EFAULT. The nofault
 * forms may run under the futex bucket lock; the caller then faults the page in with user_fault_in_writable() and tries
 * again.
 */
int __must_check user_load_nofault(u32 *value, vaddr_t addr);
int __must_check user_cmpxchg_nofault(vaddr_t addr, u32 expect, u32 desired, u32 *old);
int __must_check user_xchg_nofault(vaddr_t addr, u32 value, u32 *old);
int __must_check user_add_nofault(vaddr_t addr, u32 value, u32 *old);
/*
 * Make the page of addr present and writable (readable). Return: 0 or -EFAULT. Sleep. As on Linux, only the readable
 * form grows a stack: there it is a read of the word, and the writable form is fixup_user_fault().
 */
int __must_check user_fault_in_writable(vaddr_t addr);
int __must_check user_fault_in_readable(vaddr_t addr);

#endif
