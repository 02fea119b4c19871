/* SPDX-License-Identifier: MIT */
/* The switch from one thread to another, and how a new thread starts. No locks of its own; interrupts off. */
#include "kernel/syscall.h"
#include "kernel/task.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/xsave.h"

_Static_assert(offsetof(struct task, work) == TASK_WORK, "entry.asm");
_Static_assert(offsetof(struct task, kernel_rsp) == TASK_KERNEL_RSP, "entry.asm");

/* entry.asm */
struct task *switch_stacks(struct task *prev, struct task *next);
void task_entry_kernel(void);
void task_entry_user(void);
void enter_user_mode_at(struct trap_frame *frame) __noreturn;

/* What switch_stacks pops. */
struct switch_frame {
	u64 r15, r14, r13, r12, rbx, rbp;
	void (*resume)(void);
};

/* Writing these registers costs more than comparing. */
static void switch_user_bases(struct task *prev, struct task *next)
{
	if (prev->fs_base != next->fs_base)
		wrmsr(MSR_FS_BASE, next->fs_base);
	if (prev->gs_base != next->gs_base)
		wrmsr(MSR_KERNEL_GS_BASE, next->gs_base);
}

struct task *switch_context(struct task *prev, struct task *next)
{
	struct cpu *cpu = this_cpu_struct();

	if (prev->fpu)
		xstate_save(prev->fpu);
	if (next->fpu)
		xstate_load(next->fpu);
	switch_user_bases(prev, next);
	cpu->kernel_stack_top = (u64)next->stack_top;
	cpu->tss.rsp[0] = (u64)next->stack_top;
	cpu->task = next;
	return switch_stacks(prev, next);
}

/* The place of the user's registers stays free: the function may fill it in and enter user mode. */
void task_prepare_kernel(struct task *task, void (*fn)(void *arg), void *arg)
{
	struct switch_frame *frame = (struct switch_frame *)stack_frame(task->stack_top) - 1;

	*frame = (struct switch_frame){ .rbx = (u64)fn, .r12 = (u64)arg, .resume = task_entry_kernel };
	task->kernel_rsp = (u64)frame;
}

u64 task_saved_frame(const struct task *task)
{
	const struct switch_frame *frame = (const void *)READ_ONCE(task->kernel_rsp);
	u64 rbp;

	return frame && !kernel_read_nofault(&rbp, &frame->rbp, sizeof(rbp)) ? rbp : 0;
}

u64 task_saved_return(const struct task *task)
{
	const struct switch_frame *frame = (const void *)READ_ONCE(task->kernel_rsp);
	u64 rip;

	return frame && !kernel_read_nofault(&rip, &frame->resume, sizeof(rip)) ? rip : 0;
}

void task_prepare_user(struct task *task)
{
	struct switch_frame *frame = (struct switch_frame *)stack_frame(task->stack_top) - 1;

	*frame = (struct switch_frame){ .resume = task_entry_user };
	task->kernel_rsp = (u64)frame;
}

void enter_user_mode(void)
{
	enter_user_mode_at(task_frame(current));
}

void set_user_fs_base(u64 base)
{
	current->fs_base = base;
	wrmsr(MSR_FS_BASE, base);
}

void set_user_gs_base(u64 base)
{
	current->gs_base = base;
	wrmsr(MSR_KERNEL_GS_BASE, base);
}
