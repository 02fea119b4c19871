/* SPDX-License-Identifier: MIT */
/*
 * Switches between threads, prepares the stacks of new ones, and saves and loads the user's segment registers. Takes no
 * locks; runs with interrupts off.
 */
#include "kernel/process/task.h"
#include "kernel/syscall.h"
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

/* The registers that switch_stacks() pops. */
struct switch_frame {
	u64 r15, r14, r13, r12, rbx, rbp;
	void (*resume)(void);
};

/*
 * User mode can load DS, ES, FS and GS itself, with 0 or its own selectors. That also sets the FS and GS bases without
 * entering the kernel, so the outgoing thread's values are read from the CPU.
 */
void save_user_segments(struct task *task)
{
	struct user_selectors *s = &task->selectors;

	__asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
			 : "=rm"(s->ds), "=rm"(s->es), "=rm"(s->fs), "=rm"(s->gs));
	task->fs_base = rdmsr(MSR_FS_BASE);
	task->gs_base = rdmsr(MSR_KERNEL_GS_BASE);
}

/*
 * Loading GS overwrites the active GS base, so the user's base is made the active one for it. An NMI in between checks
 * which base is active.
 */
static void load_selectors(const struct user_selectors *s)
{
	__asm__ volatile("mov %0, %%ds; mov %1, %%es; mov %2, %%fs; swapgs; mov %3, %%gs; swapgs"
			 :
			 : "r"(s->ds), "r"(s->es), "r"(s->fs), "r"(s->gs)
			 : "memory");
}

static bool any_selector(const struct task *task)
{
	return task->selectors.ds | task->selectors.es | task->selectors.fs | task->selectors.gs;
}

/*
 * Writes the registers only where they differ, since writing costs more than comparing. Leaves them alone if `next` is
 * a kernel thread.
 */
static void switch_user_segments(struct task *prev, struct task *next)
{
	bool known = prev->fpu != NULL;

	if (known)
		save_user_segments(prev);
	if (!next->fpu)
		return;
	if (!known || any_selector(prev) || any_selector(next)) {
		load_selectors(&next->selectors);
		known = false;
	}
	if (!known || prev->fs_base != next->fs_base)
		wrmsr(MSR_FS_BASE, next->fs_base);
	if (!known || prev->gs_base != next->gs_base)
		wrmsr(MSR_KERNEL_GS_BASE, next->gs_base);
}

struct task *switch_context(struct task *prev, struct task *next)
{
	struct cpu *cpu = this_cpu_struct();

	assert_irqs_off();
	if (prev->fpu)
		xstate_save(prev->fpu);
	if (next->fpu)
		xstate_load(next->fpu);
	switch_user_segments(prev, next);
	cpu->kernel_stack_top = (u64)next->stack_top;
	cpu->tss.rsp[0] = (u64)next->stack_top;
	cpu->task = next;
	return switch_stacks(prev, next);
}

/* Leaves room for the user registers, because fn may fill them in and enter user mode. */
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

/* Context: interrupts off, because no context switch may come between loading a selector and its base. */
static void set_user_segments(struct task *task)
{
	load_selectors(&task->selectors);
	wrmsr(MSR_FS_BASE, task->fs_base);
	wrmsr(MSR_KERNEL_GS_BASE, task->gs_base);
}

void reset_user_segments(void)
{
	unsigned long flags = irq_save();

	current->selectors = (struct user_selectors){};
	current->fs_base = current->gs_base = 0;
	set_user_segments(current);
	irq_restore(flags);
}

void set_user_fs_base(u64 base)
{
	unsigned long flags = irq_save();

	save_user_segments(current);
	current->selectors.fs = 0;
	current->fs_base = base;
	set_user_segments(current);
	irq_restore(flags);
}

void set_user_gs_base(u64 base)
{
	unsigned long flags = irq_save();

	save_user_segments(current);
	current->selectors.gs = 0;
	current->gs_base = base;
	set_user_segments(current);
	irq_restore(flags);
}
