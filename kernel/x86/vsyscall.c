/* SPDX-License-Identifier: MIT */
/*
 * Emulates the three functions of the vsyscall page.
 *
 * Nothing is mapped at the page. A call of a function faults, is made here, and returns as if by `ret`; the page cannot
 * be read. This is Linux's default, vsyscall=xonly. A bad pointer raises a signal instead of failing with EFAULT, since
 * the functions once ran in user mode. No locks.
 */
#include "kernel/x86/vsyscall.h"
#include "kernel/lib/errno.h"
#include "kernel/process/task.h"
#include "kernel/signal/signal.h"
#include "kernel/uaccess.h"

#define SEGV_MAPERR 1
#define FUNCTION_BITS 0xc00UL /* the address bits that select one of four functions */
#define FUNCTION_SHIFT 10

static const struct vsyscall {
	u16 number;    /* of the corresponding system call */
	u8 written[2]; /* bytes written through each pointer; 0: no pointer */
} vsyscalls[] = {
	{ 96, { 16, 8 } },		       /* gettimeofday: struct timeval, struct timezone */
	{ 201, { sizeof(s64), 0 } },	       /* time */
	{ 309, { sizeof(u32), sizeof(u32) } }, /* getcpu */
};

static void bad_call(void)
{
	force_signal(SIGSEGV, SI_KERNEL, 0);
}

/* Returns whether the pointer lies beyond the user's half; if so, sends the signal that reports it. */
static bool pointer_is_foreign(u64 addr, u64 size)
{
	if (access_ok(addr, size))
		return false;
	current->trap_number = TRAP_PF;
	current->trap_error = PF_USER | PF_WRITE;
	current->trap_addr = addr;
	force_signal(SIGSEGV, SEGV_MAPERR, addr);
	return true;
}

/* Makes the call. Passes NULL for the argument of getcpu that is in rdx, since Linux ignores it. */
static void call(struct trap_frame *frame, const struct vsyscall *vsyscall)
{
	u64 args[2] = { frame->rdi, frame->rsi }, caller;
	long ret;

	if (copy_from_user(&caller, frame->rsp, sizeof(caller))) {
		bad_call();
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(args); i++)
		if (vsyscall->written[i] && pointer_is_foreign(args[i], vsyscall->written[i]))
			return;
	ret = system_call_table[vsyscall->number](args[0], args[1], 0, 0, 0, 0);
	if (ret == -EFAULT) {
		bad_call();
		return;
	}
	frame->rax = (u64)ret;
	frame->rip = caller;
	frame->rsp += sizeof(caller);
}

bool vsyscall_emulate(struct trap_frame *frame, u64 error, u64 addr)
{
	u64 function = (addr & FUNCTION_BITS) >> FUNCTION_SHIFT;

	assert_may_sleep();
	assert_irqs_on();
	if (!(error & PF_FETCH) || (addr & PAGE_MASK) != VSYSCALL_PAGE)
		return false;
	if ((addr & ~FUNCTION_BITS) != VSYSCALL_PAGE || function >= ARRAY_SIZE(vsyscalls))
		bad_call();
	else
		call(frame, &vsyscalls[function]);
	return true;
}
