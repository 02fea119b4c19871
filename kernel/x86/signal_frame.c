/* SPDX-License-Identifier: MIT */
/*
 * Writes the frame of a signal handler to the user stack, as x86-64 Linux lays it out, and restores the registers from
 * it.
 *
 * From lower to higher addresses, the frame has struct rt_sigframe, then the vector registers in XSAVE's format with
 * Linux's two magic words. On a CPU without XSAVE, the vector registers are the 512 bytes of FXSAVE alone.
 */
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "kernel/x86/xsave.h"

#define RED_ZONE 128
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define SW_RESERVED_OFFSET 464 /* within the 512 bytes of FXSAVE */
#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4
#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define SS_AUTODISARM (1u << 31)

struct sigcontext {
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
	u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2;
	u64 fpstate;
	u64 reserved[8];
};

struct rt_sigframe {
	u64 return_address;
	u64 uc_flags, uc_link;
	struct {
		u64 sp;
		u32 flags, pad;
		u64 size;
	} uc_stack;
	struct sigcontext context;
	u64 uc_sigmask;
	struct siginfo info;
	u8 info_rest[128 - sizeof(struct siginfo)];
};
_Static_assert(sizeof(struct rt_sigframe) == 440, "Linux's struct rt_sigframe");

struct fpx_sw_bytes {
	u32 magic1, extended_size;
	u64 features;
	u32 xstate_size;
	u32 padding[7];
};
_Static_assert(sizeof(struct fpx_sw_bytes) == 48, "Linux's struct _fpx_sw_bytes");

bool on_signal_stack(u64 sp)
{
	const struct sigstack *stack = &current->altstack;

	return !(stack->flags & SS_AUTODISARM) && sp > stack->sp && sp - stack->sp <= stack->size;
}

/* Returns the size of the vector registers in a frame, in bytes. */
static u64 fpu_frame_size(void)
{
	return xstate_used_size + (xstate_features ? sizeof(u32) : 0); /* the second magic word */
}

/*
 * Counts as Linux does: the bytes that a frame takes on an alternate stack, so without the interrupted code's red zone.
 */
u64 signal_frame_max(void)
{
	return align_up(sizeof(struct rt_sigframe) + 15 + fpu_frame_size() + 63, 16);
}

/* ---- Setting up -------------------------------------------------------------------------------------------------- */

/*
 * Returns the address for the vector registers, and sets *frame_addr to that of the rest. Returns 0 if the alternate
 * stack is too small.
 */
static u64 frame_place(const struct trap_frame *regs, const struct sigaction *action, u64 *frame_addr)
{
	const struct sigstack *stack = &current->altstack;
	u64 sp = regs->rsp - RED_ZONE, fp;
	bool nested = on_signal_stack(regs->rsp), switched = false;

	if ((action->flags & SA_ONSTACK) && !nested && !(stack->flags & SS_DISABLE)) {
		sp = stack->sp + stack->size;
		switched = true;
	}
	fp = align_down(sp - fpu_frame_size(), 64);
	*frame_addr = align_down(fp - sizeof(struct rt_sigframe), 16) - 8;
	if ((nested || switched) && !(*frame_addr > stack->sp && *frame_addr - stack->sp <= stack->size))
		return 0;
	return fp;
}

/* Returns the scratch area, which lies behind the task's own area. A context switch would overwrite the latter. */
static char *scratch_area(void)
{
	return (char *)current->fpu + xstate_size;
}

/* Copies the registers that are saved in the scratch area to the user's frame. */
static int put_fpu(u64 addr)
{
	struct fpx_sw_bytes sw = { .magic1 = FP_XSTATE_MAGIC1,
				   .extended_size = (u32)fpu_frame_size(),
				   .features = xstate_features,
				   .xstate_size = xstate_used_size };
	u32 magic2 = FP_XSTATE_MAGIC2;
	char *area = scratch_area();

	if (!xstate_features)
		return copy_to_user(addr, area, FXSAVE_SIZE) ? -EFAULT : 0;
	if (copy_to_user(addr, area, SW_RESERVED_OFFSET) || copy_to_user(addr + SW_RESERVED_OFFSET, &sw, sizeof(sw)) ||
	    copy_to_user(addr + FXSAVE_SIZE, area + FXSAVE_SIZE, xstate_used_size - FXSAVE_SIZE) ||
	    copy_to_user(addr + xstate_used_size, &magic2, sizeof(magic2)))
		return -EFAULT;
	return 0;
}

static void fill_context(struct sigcontext *c, const struct trap_frame *regs, u64 fpstate, u64 blocked)
{
	const struct task *task = current;

	*c = (struct sigcontext){
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rdi = regs->rdi,
		.rsi = regs->rsi,
		.rbp = regs->rbp,
		.rbx = regs->rbx,
		.rdx = regs->rdx,
		.rax = regs->rax,
		.rcx = regs->rcx,
		.rsp = regs->rsp,
		.rip = regs->rip,
		.rflags = regs->rflags,
		.cs = (u16)regs->cs,
		.ss = (u16)regs->ss,
		.err = task->trap_error,
		.trapno = task->trap_number,
		.cr2 = task->trap_addr,
		.oldmask = blocked,
		.fpstate = fpstate,
	};
}

static void enter_handler(struct trap_frame *regs, int sig, const struct sigaction *action, u64 addr)
{
	regs->rdi = (u64)sig;
	regs->rsi = addr + offsetof(struct rt_sigframe, info);
	regs->rdx = addr + offsetof(struct rt_sigframe, uc_flags);
	regs->rax = 0;
	regs->rip = action->handler;
	regs->rsp = addr;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->rflags &= ~(0x400UL | 0x100UL | 0x10000UL); /* DF, TF, RF */
	atomic_or(&current->work, WORK_FRAME);
}

static int write_frame(struct trap_frame *regs, int sig, const struct siginfo *info, const struct sigaction *action,
		       u64 blocked)
{
	struct task *task = current;
	struct rt_sigframe frame = { 0 };
	u64 addr, fp = frame_place(regs, action, &addr);

	if (!fp || !(action->flags & SA_RESTORER) || !access_ok(addr, sizeof(frame)) || put_fpu(fp))
		return -EFAULT;
	frame.return_address = action->restorer;
	frame.uc_flags = (xstate_features ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	frame.uc_stack.sp = task->altstack.sp;
	frame.uc_stack.flags = task->altstack.flags;
	if (on_signal_stack(regs->rsp))
		frame.uc_stack.flags |= SS_ONSTACK;
	frame.uc_stack.size = task->altstack.size;
	fill_context(&frame.context, regs, fp, blocked);
	frame.uc_sigmask = blocked;
	frame.info = *info;
	if (copy_to_user(addr, &frame, sizeof(frame)))
		return -EFAULT;
	if (task->altstack.flags & SS_AUTODISARM)
		task->altstack = (struct sigstack){ .flags = SS_DISABLE };
	enter_handler(regs, sig, action, addr);
	return 0;
}

/*
 * The handler's stack may have a protection key to which the thread has no access at the moment. The frame is therefore
 * written with access to all keys, and it records the thread's rights. As Linux since 6.12. The handler starts with the
 * initial vector registers and the default rights.
 */
int signal_frame_setup(struct trap_frame *regs, int sig, const struct siginfo *info, const struct sigaction *action,
		       u64 blocked)
{
	bool keys = nr_keys() > 1;
	u32 rights = keys ? keys_read() : 0;
	int error;

	xstate_save(scratch_area());
	if (keys)
		keys_write(0);
	error = write_frame(regs, sig, info, action, blocked);
	if (!error)
		xstate_load_init();
	else if (keys)
		keys_write(rights);
	return error;
}

/* ---- Returning --------------------------------------------------------------------------------------------------- */

/*
 * Returns whether the user's image is a whole XSAVE image, as put_fpu() writes it. Otherwise only its first 512 bytes
 * are used.
 */
static bool image_is_extended(u64 addr)
{
	struct fpx_sw_bytes sw;
	u32 magic2;

	return xstate_features && !copy_from_user(&sw, addr + SW_RESERVED_OFFSET, sizeof(sw)) &&
	       sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size == xstate_used_size &&
	       !get_user(&magic2, addr + xstate_used_size) && magic2 == FP_XSTATE_MAGIC2;
}

static int get_fpu(u64 addr)
{
	char *scratch = scratch_area();
	unsigned long flags;

	xstate_init(scratch);
	if (addr && image_is_extended(addr)) {
		if (copy_from_user(scratch, addr, xstate_used_size))
			return -EFAULT;
	} else if (addr) {
		if (copy_from_user(scratch, addr, FXSAVE_SIZE))
			return -EFAULT;
		*(u64 *)(scratch + FXSAVE_SIZE) = 3; /* x87 and SSE are present, the rest gets its initial state */
	}
	xstate_sanitize(scratch);
	flags = irq_save();
	xstate_load(scratch);
	irq_restore(flags);
	return 0;
}

static void restore_context(struct trap_frame *regs, const struct sigcontext *c)
{
	regs->r8 = c->r8, regs->r9 = c->r9, regs->r10 = c->r10, regs->r11 = c->r11;
	regs->r12 = c->r12, regs->r13 = c->r13, regs->r14 = c->r14, regs->r15 = c->r15;
	regs->rdi = c->rdi, regs->rsi = c->rsi, regs->rbp = c->rbp, regs->rbx = c->rbx;
	regs->rdx = c->rdx, regs->rax = c->rax, regs->rcx = c->rcx, regs->rsp = c->rsp;
	regs->rip = c->rip;
	regs->rflags = (c->rflags & USER_RFLAGS_MASK) | USER_RFLAGS_FIXED;
	regs->cs = c->cs == USER_CS32 ? USER_CS32 : USER_CS;
	regs->ss = USER_DS;
	regs->orig_rax = -1UL;
	atomic_or(&current->work, WORK_FRAME);
}

static void restore_altstack(u64 sp, u32 flags, u64 size)
{
	struct sigstack *stack = &current->altstack;

	if (on_signal_stack(task_frame(current)->rsp))
		return;
	if (flags & SS_DISABLE)
		*stack = (struct sigstack){ .flags = SS_DISABLE };
	else if (size >= 2048)
		*stack = (struct sigstack){ .sp = sp, .flags = flags & SS_AUTODISARM, .size = size };
}

long signal_frame_return(struct trap_frame *regs)
{
	struct rt_sigframe frame;
	u64 addr = regs->rsp - 8; /* the handler's ret has popped the return address */

	if (!access_ok(addr, sizeof(frame)) || copy_from_user(&frame, addr, sizeof(frame)) ||
	    get_fpu(frame.context.fpstate)) {
		force_signal(SIGSEGV, SI_KERNEL, 0);
		return 0;
	}
	signal_set_blocked(frame.uc_sigmask);
	restore_context(regs, &frame.context);
	restore_altstack(frame.uc_stack.sp, frame.uc_stack.flags, frame.uc_stack.size);
	if (regs->cs != frame.context.cs)
		force_signal(SIGSEGV, SI_KERNEL, 0);
	return (long)regs->rax;
}

SYSCALL(rt_sigreturn)
{
	return signal_frame_return(task_frame(current));
}
