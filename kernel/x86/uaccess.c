/* SPDX-License-Identifier: MIT */
/* Checks the ranges of accesses to user memory, and calls uaccess.asm for the accesses (kernel/uaccess.h). No locks. */
#include "kernel/uaccess.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/oom.h"
#include "kernel/process/task.h"
#include "kernel/x86/interrupt.h"
#include "mm/fault.h"

/* uaccess.asm */
u64 user_copy(void *dst, const void *src, u64 size);
u64 user_copy_nofault(void *dst, const void *src, u64 size);
u64 user_clear(void *dst, u64 size);
int user_load_raw(u32 *value, const void *user);
int user_cmpxchg_raw(void *user, u32 expect, u32 desired, u32 *old);
int user_xchg_raw(void *user, u32 value, u32 *old);
int user_xadd_raw(void *user, u32 value, u32 *old);

extern const struct extable_entry extable_start[], extable_end[]; /* linker.ld */

const struct extable_entry *extable_find(u64 rip)
{
	for (const struct extable_entry *entry = extable_start; entry < extable_end; entry++)
		if (entry->rip == rip)
			return entry;
	return NULL;
}

u64 copy_from_user(void *dst, vaddr_t src, u64 size)
{
	return access_ok(src, size) ? user_copy(dst, (const void *)src, size) : size;
}

u64 copy_to_user(vaddr_t dst, const void *src, u64 size)
{
	return access_ok(dst, size) ? user_copy((void *)dst, src, size) : size;
}

u64 copy_from_user_nofault(void *dst, vaddr_t src, u64 size)
{
	return access_ok(src, size) ? user_copy_nofault(dst, (const void *)src, size) : size;
}

u64 copy_to_user_nofault(vaddr_t dst, const void *src, u64 size)
{
	return access_ok(dst, size) ? user_copy_nofault((void *)dst, src, size) : size;
}

u64 clear_user(vaddr_t dst, u64 size)
{
	return access_ok(dst, size) ? user_clear((void *)dst, size) : size;
}

/* Copies in pieces that do not cross a page, so that pages beyond the string's end are never accessed. */
long strncpy_from_user(char *dst, vaddr_t src, u64 size)
{
	u64 done = 0;

	while (done < size) {
		u64 piece = min(size - done, PAGE_SIZE - ((src + done) & (PAGE_SIZE - 1)));
		u64 length;

		if (copy_from_user(dst + done, src + done, piece))
			return -EFAULT;
		length = strnlen(dst + done, piece);
		done += length;
		if (length < piece)
			return (long)done;
	}
	return (long)size;
}

static bool word_ok(vaddr_t addr)
{
	return access_ok(addr, 4) && !(addr & 3);
}

int user_load_nofault(u32 *value, vaddr_t addr)
{
	return word_ok(addr) ? user_load_raw(value, (const void *)addr) : -EFAULT;
}

int user_cmpxchg_nofault(vaddr_t addr, u32 expect, u32 desired, u32 *old)
{
	return word_ok(addr) ? user_cmpxchg_raw((void *)addr, expect, desired, old) : -EFAULT;
}

int user_xchg_nofault(vaddr_t addr, u32 value, u32 *old)
{
	return word_ok(addr) ? user_xchg_raw((void *)addr, value, old) : -EFAULT;
}

int user_add_nofault(vaddr_t addr, u32 value, u32 *old)
{
	return word_ok(addr) ? user_xadd_raw((void *)addr, value, old) : -EFAULT;
}

static int fault_in_for(vaddr_t addr, enum fault_access access, unsigned flags)
{
	enum fault_answer answer;

	if (!access_ok(addr, 1))
		return -EFAULT;
	do
		answer = fault_in(current->mm, addr, access, flags);
	while (answer == FAULT_OUT_OF_MEMORY && oom_make_room());
	if (answer != FAULT_DONE)
		return -EFAULT;
	thread_count_fault();
	return 0;
}

int user_fault_in_writable(vaddr_t addr)
{
	assert_may_sleep();
	return fault_in_for(addr, ACCESS_WRITE, 0);
}

int user_fault_in_readable(vaddr_t addr)
{
	assert_may_sleep();
	return fault_in_for(addr, ACCESS_READ, FAULT_UACCESS);
}
