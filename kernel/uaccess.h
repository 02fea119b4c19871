/* SPDX-License-Identifier: MIT */
/*
 * The only way to user memory. A bad address makes the copy fail, never the kernel: each instruction that touches
 * user memory has an entry in the exception table.
 *
 * The plain forms may fault the page in, so they may sleep: no spinlock, no mmap_lock, no RCU section. The `nofault`
 * forms never sleep and never fault in; they fail where a page is not there.
 */
#ifndef KERNEL_UACCESS_H
#define KERNEL_UACCESS_H

#include "kernel/lib/base.h"

/* One past the last user address. */
#define USER_END 0x7ffffffff000UL

/* True if bits 63 to 48 repeat bit 47. A CPU raises #GP or #SS, not #PF, for an access to any other address. */
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

/* Copies a string with its NUL. Returns its length without the NUL, `size` when it does not fit, or -EFAULT. */
long __must_check strncpy_from_user(char *dst, vaddr_t src, u64 size);

/* One naturally sized value: 0 or -EFAULT. `*(value)` is of 1, 2, 4 or 8 bytes. */
#define get_user(value, addr) (copy_from_user((value), (addr), sizeof(*(value))) ? -14 : 0)
#define put_user(value, addr)                                                                                          \
	({                                                                                                             \
		typeof(value) _put_value = (value);                                                                    \
		copy_to_user((addr), &_put_value, sizeof(_put_value)) ? -14 : 0;                                       \
	})

/*
 * Atomics on an aligned 32-bit user word; 0 or -EFAULT. The nofault forms fit under the futex bucket lock; the caller
 * then faults the page in with user_fault_in_writable() and tries again. *old is what the word held before.
 */
int __must_check user_load_nofault(u32 *value, vaddr_t addr);
int __must_check user_cmpxchg_nofault(vaddr_t addr, u32 expect, u32 desired, u32 *old);
int __must_check user_xchg_nofault(vaddr_t addr, u32 value, u32 *old);
int __must_check user_add_nofault(vaddr_t addr, u32 value, u32 *old);
/*
 * Makes the page of addr present and readable (writable): 0 or -EFAULT. Sleeps. As on Linux, where the one is a read of the word
 * and the other fixup_user_fault(), only the first grows a stack.
 */
int __must_check user_fault_in_writable(vaddr_t addr);
int __must_check user_fault_in_readable(vaddr_t addr);

#endif
