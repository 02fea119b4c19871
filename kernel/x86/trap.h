/* SPDX-License-Identifier: MIT */
/*
 * The registers of an interrupted context, as every entry into the kernel (exception, interrupt, SYSCALL) saves them:
 * Linux's struct pt_regs. For a user thread the frame lies at the very top of its kernel stack.
 */
#ifndef KERNEL_X86_TRAP_H
#define KERNEL_X86_TRAP_H

#include "kernel/lib/base.h"

struct trap_frame {
	u64 r15, r14, r13, r12, rbp, rbx;
	u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 orig_rax; /* system call number; exceptions: error code; otherwise -1 */
	u64 rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trap_frame) == 21 * 8, "entry.asm");

#define USER_CS32 0x23 /* 32-bit code segment, reachable by a far jump */
#define USER_CS 0x33
#define USER_DS 0x2b
#define KERNEL_CS 0x10
#define KERNEL_DS 0x18

/* rflags bits that a user may choose (sigreturn), and those a fresh program starts with. */
#define USER_RFLAGS_MASK 0x40dd5UL /* CF PF AF ZF SF TF DF OF AC */
#define USER_RFLAGS_FIXED 0x202UL  /* bit 1, IF */

static inline bool frame_is_user(const struct trap_frame *frame)
{
	return frame->cs & 3;
}

/* Returns the user registers at the top of the kernel stack of a task that can run in user mode. */
static inline struct trap_frame *stack_frame(void *stack_top)
{
	return (struct trap_frame *)stack_top - 1;
}

/*
 * System calls: entry.asm calls system_call_table[rax] with the six arguments, interrupts on, and stores the return
 * value in rax. Every slot is filled (unused ones with the function that returns -ENOSYS); for larger numbers entry.asm
 * itself returns -ENOSYS. A handler that changes other user registers sets WORK_FRAME; it may then return any value for
 * rax.
 */
#define NR_SYSCALL_SLOTS 512
typedef long (*system_call_t)(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
extern const system_call_t system_call_table[NR_SYSCALL_SLOTS];

/* The exception vectors, under Linux's names. Programs see them as trapno in a signal's sigcontext. */
enum trap_vector {
	TRAP_DE = 0,
	TRAP_DB,
	TRAP_NMI,
	TRAP_BP,
	TRAP_OF,
	TRAP_BR,
	TRAP_UD,
	TRAP_NM,
	TRAP_DF,
	TRAP_TS = 10,
	TRAP_NP,
	TRAP_SS,
	TRAP_GP,
	TRAP_PF,
	TRAP_MF = 16,
	TRAP_AC,
	TRAP_MC,
	TRAP_XF,
	NR_EXCEPTIONS = 32,
	VECTOR_TIMER = 0xf0,
	VECTOR_RESCHEDULE,
	VECTOR_TLB,
	VECTOR_SERIAL,
	VECTOR_SPURIOUS = 0xff,
};
/*
 * Returns how many interrupts of a vector (VECTOR_TIMER to VECTOR_SERIAL) a CPU has taken; may be stale. Any context.
 */
u64 interrupt_count(u32 cpu, enum trap_vector vector);

/* Bits of a page fault's error code. */
#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_RSVD 8u
#define PF_FETCH 16u

#endif
