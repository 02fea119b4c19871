/* SPDX-License-Identifier: MIT */
/* Calls clone(2) with any flags. C libraries refuse some of them, each library different ones. */
#ifndef USER_RAW_CLONE_H
#define USER_RAW_CLONE_H

#include <errno.h>
#include <sys/types.h>

/*
 * Makes the system call, with the arguments in clone()'s order. The child takes the function and its argument from the
 * new stack, which must have room for both. The thread exits with the function's result.
 */
__attribute__((naked, used)) static long
raw_clone_call(__attribute__((unused)) int (*fn)(void *), __attribute__((unused)) void *stack,
	       __attribute__((unused)) unsigned long flags, __attribute__((unused)) void *arg,
	       __attribute__((unused)) int *parent_tid, __attribute__((unused)) void *tls,
	       __attribute__((unused)) int *child_tid)
{
	__asm__("and $-16, %rsi\n\t"
		"sub $16, %rsi\n\t"
		"mov %rdi, (%rsi)\n\t"
		"mov %rcx, 8(%rsi)\n\t"
		"mov %rdx, %rdi\n\t"
		"mov %r8, %rdx\n\t"
		"mov 8(%rsp), %r10\n\t"
		"mov %r9, %r8\n\t"
		"mov $56, %eax\n\t" /* SYS_clone */
		"syscall\n\t"
		"test %rax, %rax\n\t"
		"jnz 1f\n\t"
		"xor %ebp, %ebp\n\t"
		"pop %rax\n\t"
		"pop %rdi\n\t"
		"call *%rax\n\t"
		"mov %eax, %edi\n\t"
		"mov $60, %eax\n\t" /* SYS_exit */
		"syscall\n\t"
		"hlt\n"
		"1:	ret");
}

/* Like clone(); `stack` is the upper end of the child's stack. */
static inline pid_t raw_clone(int (*fn)(void *), void *stack, unsigned long flags, void *arg, int *parent_tid,
			      void *tls, int *child_tid)
{
	long ret = raw_clone_call(fn, stack, flags, arg, parent_tid, tls, child_tid);

	if (ret >= 0)
		return (pid_t)ret;
	errno = (int)-ret;
	return -1;
}

#endif
