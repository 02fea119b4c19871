/* SPDX-License-Identifier: MIT */
/*
 * The C handlers that entry.asm calls: page faults, other exceptions, interrupts. A fault of user mode is resolved by
 * mm/ or becomes a signal; a fault of the kernel has an entry in the exception table or is a bug. Takes no locks of its
 * own.
 */
#include "drivers/serial.h"
#include "kernel/debug/explain.h"
#include "kernel/debug/hang.h"
#include "kernel/lib/print.h"
#include "kernel/oom.h"
#include "kernel/sched/sched.h"
#include "kernel/signal/signal.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/far_return.h"
#include "kernel/x86/features.h"
#include "kernel/x86/interrupt.h"
#include "kernel/x86/kstack.h"
#include "kernel/x86/setup.h"
#include "kernel/x86/vsyscall.h"
#include "kernel/x86/xsave.h"
#include "mm/fault.h"
#include "mm/vma/mm.h"
#include "mm/vma/pkey.h"

/* entry.asm */
void page_fault_user(struct trap_frame *frame, u64 error, u64 addr);
void page_fault_kernel(struct trap_frame *frame, u64 error, u64 addr);
void exception(struct trap_frame *frame, unsigned vector);
void exception_critical(struct trap_frame *frame, unsigned vector);
void interrupt(struct trap_frame *frame, unsigned vector);
void user_rip_not_canonical(struct trap_frame *frame);
static void user_exception(struct trap_frame *frame, unsigned vector, u64 error);

static const char *const exception_names[NR_EXCEPTIONS] = {
	[TRAP_DE] = "divide error",
	[TRAP_DB] = "debug exception",
	[TRAP_NMI] = "non-maskable interrupt",
	[TRAP_BP] = "breakpoint",
	[TRAP_OF] = "overflow",
	[TRAP_BR] = "bound range exceeded",
	[TRAP_UD] = "invalid opcode",
	[TRAP_NM] = "device not available",
	[TRAP_DF] = "double fault",
	[TRAP_TS] = "invalid TSS",
	[TRAP_NP] = "segment not present",
	[TRAP_SS] = "stack segment fault",
	[TRAP_GP] = "general protection fault",
	[TRAP_PF] = "page fault",
	[TRAP_MF] = "x87 floating-point exception",
	[TRAP_AC] = "alignment check",
	[TRAP_MC] = "machine check",
	[TRAP_XF] = "SIMD floating-point exception",
};

/* ---- Page faults ------------------------------------------------------------------------------------------------- */

static enum fault_access access_of(u64 error)
{
	return error & PF_WRITE ? ACCESS_WRITE : error & PF_FETCH ? ACCESS_EXEC : ACCESS_READ;
}

/* A page-table entry has a reserved bit set: our tables are corrupt, whether user mode or the kernel faulted. */
static void __noinline __noreturn corrupt_tables(const struct trap_frame *frame, u64 error, u64 addr)
{
	panic_at(frame, addr, "Corrupt page table: reserved bits met at address %016llx (error code %llx)",
		 (unsigned long long)addr, (unsigned long long)error);
}

/* Records the trap for the signal's handler, which finds it in its sigcontext. */
static void note_trap(unsigned vector, u64 error, u64 addr)
{
	struct task *task = current;

	task->trap_number = vector;
	task->trap_error = error;
	task->trap_addr = addr;
}

static void __noinline bad_user_access(u64 error, u64 addr, struct fault_signal sig)
{
	note_trap(TRAP_PF, error | (addr >= USER_END ? PF_PRESENT : 0), addr); /* as on Linux: hides our tables */
	force_signal(sig.signo, sig.code, addr);
}

/* Reports the protection key too. It may have changed since the fault, which no program can notice. */
static void __noinline bad_key(u64 error, u64 addr, struct fault_signal sig)
{
	struct siginfo info = { .signo = sig.signo, .code = sig.code };

	info.addr = addr;
	info.pkey = mm_key_at(current->mm, addr);
	note_trap(TRAP_PF, error, addr);
	force_signal_info(&info);
}

/* Handles the answers other than FAULT_DONE. */
static void __noinline user_fault_failed(enum fault_answer answer, u64 error, u64 addr)
{
	struct fault_signal sig;

	if (answer == FAULT_OUT_OF_MEMORY) {
		oom_kill(); /* then the instruction is retried, unless we were killed */
		return;
	}
	if (!fault_signal(answer, &sig))
		return;
	thread_fault_repeat()->times = 0;
	if (answer == FAULT_NO_PROGRESS)
		klog("%s[%d]: the instruction at %lx faults at %lx again and again, though the entry permits it",
		     current->comm, current->tid, (unsigned long)machine_user_ip(), (unsigned long)addr);
	if (explain_signals)
		explain_fault(machine_user_ip(), addr, access_of(error), answer, sig);
	if (answer == FAULT_NO_KEY)
		bad_key(error, addr, sig);
	else
		bad_user_access(error, addr, sig);
}

/* The signal handler runs without TF. When it returns, the program has TF again, and continues single-stepping. */
static void user_debug_exception(const struct trap_frame *frame, int code)
{
	note_trap(TRAP_DB, 0, current->trap_addr);
	force_signal(SIGTRAP, code, frame->rip);
}

/*
 * A user-mode instruction faulted on an access that the CPU made with supervisor privilege. That is correct only for
 * the CPU's own accesses to the descriptor tables. QEMU before 9.1 does so also for the stack accesses of iretq and
 * lretq, which the kernel therefore emulates, and of far calls. With SMAP no entry permits such an access; the program
 * gets a signal. Returns true if the fault was handled.
 */
static bool implicit_access(struct trap_frame *frame, u64 error, u64 addr)
{
	enum far_return made = far_return_emulate(frame);

	if (made == FAR_RETURN_FAULTS)
		return false;
	if (made == FAR_RETURN_OTHER)
		user_fault_failed(FAULT_NO_ACCESS, error, addr);
	else if (made == FAR_RETURN_STEPPED)
		user_debug_exception(frame, TRAP_TRACE);
	else if (made == FAR_RETURN_BAD)
		user_exception(frame, TRAP_GP, 0);
	return true;
}

/* Handles the faults that fault_in() does not. Returns true if this was one. */
static bool __noinline odd_user_fault(struct trap_frame *frame, u64 error, u64 addr)
{
	if (error & PF_RSVD)
		corrupt_tables(frame, error, addr);
	if (!addr_is_canonical(addr)) { /* QEMU 8.2 raises #PF where a CPU raises #GP */
		user_exception(frame, TRAP_GP, 0);
		return true;
	}
	if (addr >= USER_END) {
		if (!vsyscall_emulate(frame, error, addr))
			user_fault_failed(FAULT_NO_MAPPING, error, addr);
		return true;
	}
	/* Without SMAP, an entry permits to the supervisor every access that it permits to user mode. */
	return cpu_has(FEATURE_smap) && implicit_access(frame, error, addr);
}

/* Interrupts are on. */
void page_fault_user(struct trap_frame *frame, u64 error, u64 addr)
{
	struct task *task = current;
	enum fault_answer answer;

	if (unlikely((error & (PF_RSVD | PF_USER)) != PF_USER || addr >= USER_END) &&
	    odd_user_fault(frame, error, addr))
		return;
	answer = fault_in(task->mm, addr, access_of(error), FAULT_USER);
	if (likely(answer == FAULT_DONE))
		task->min_flt++;
	else
		user_fault_failed(answer, error | PF_USER, addr);
}

static void __noinline __noreturn kernel_fault_panic(const struct trap_frame *frame, u64 error, u64 addr)
{
	const char *what = error & PF_FETCH ? "executed" : error & PF_WRITE ? "wrote" : "read";

	panic_at(frame, addr, "The kernel %s %016llx, which is %s (error code %llx)", what, (unsigned long long)addr,
		 error & PF_PRESENT	 ? "protected"
		 : kstack_is_guard(addr) ? "between kernel stacks"
					 : "not mapped",
		 (unsigned long long)error);
}

/*
 * Faults in the page of a user copy. Returns true if the copy may continue. The copy may hold locks, of a file or a
 * pipe, that a task being killed needs in order to exit; the reaper does not need them.
 */
static bool uaccess_fault_in(u64 error, u64 addr)
{
	unsigned flags = current->home_mm ? 0 : FAULT_UACCESS;
	enum fault_answer answer = fault_in(current->mm, addr, access_of(error), flags);

	while (unlikely(answer == FAULT_OUT_OF_MEMORY) && oom_make_room())
		answer = fault_in(current->mm, addr, access_of(error), flags);
	if (answer == FAULT_DONE)
		thread_count_fault();
	return answer == FAULT_DONE;
}

/* Interrupts are off: the IDT entry is an interrupt gate. */
void page_fault_kernel(struct trap_frame *frame, u64 error, u64 addr)
{
	const struct extable_entry *entry = extable_find(frame->rip);

	if (error & PF_RSVD)
		corrupt_tables(frame, error, addr);
	if (!entry)
		kernel_fault_panic(frame, error, addr);
	if (!entry->nofault && addr < USER_END && (frame->rflags & X86_EFLAGS_IF) && current->mm) {
		bool there;

		irq_enable();
		there = uaccess_fault_in(error, addr);
		irq_disable();
		if (there)
			return;
	}
	frame->rip = entry->fixup;
}

/* ---- Other exceptions -------------------------------------------------------------------------------------------- */

/* si_code of a floating-point exception, from the flags raised and not masked, in Linux's order. */
static int fpe_code(u32 raised)
{
	if (raised & 1)
		return 7; /* FPE_FLTINV */
	if (raised & 4)
		return 3; /* FPE_FLTDIV */
	if (raised & 8)
		return 4; /* FPE_FLTOVF */
	if (raised & 0x12)
		return 5; /* FPE_FLTUND, which a denormal operand counts as */
	if (raised & 0x20)
		return 6; /* FPE_FLTRES */
	return 0;
}

static int x87_code(void)
{
	u16 control, status;

	__asm__ volatile("fnstcw %0; fnstsw %1" : "=m"(control), "=m"(status));
	return fpe_code(status & ~control & 0x3f);
}

static int simd_code(void)
{
	u32 mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return fpe_code(~(mxcsr >> 7) & mxcsr & 0x3f);
}

static void signal_without_address(const struct trap_frame *frame, unsigned vector, int signo)
{
	if (explain_signals)
		explain_exception(frame, exception_names[vector], signo);
	force_signal(signo, SI_KERNEL, 0);
}

/* Maps exceptions to signals as Linux does. */
static void exception_signal(struct trap_frame *frame, unsigned vector)
{
	switch (vector) {
	case TRAP_DE:
		force_signal(SIGFPE, FPE_INTDIV, frame->rip);
		break;
	case TRAP_BP:
		force_signal(SIGTRAP, SI_KERNEL, 0);
		break;
	case TRAP_UD:
		force_signal(SIGILL, ILL_ILLOPN, frame->rip);
		break;
	case TRAP_MF:
		force_signal(SIGFPE, x87_code(), frame->rip);
		break;
	case TRAP_XF:
		force_signal(SIGFPE, simd_code(), frame->rip);
		break;
	case TRAP_AC:
		force_signal(SIGBUS, BUS_ADRALN, 0);
		break;
	case TRAP_NP:
	case TRAP_SS:
		signal_without_address(frame, vector, SIGBUS);
		break;
	default:
		signal_without_address(frame, vector, SIGSEGV);
	}
}

/* Vectors without an error code store -1 in its place (entry.asm). */
static u64 error_code(const struct trap_frame *frame)
{
	return frame->orig_rax == -1UL ? 0 : frame->orig_rax;
}

static void user_exception(struct trap_frame *frame, unsigned vector, u64 error)
{
	note_trap(vector, error, current->trap_addr);
	exception_signal(frame, vector);
}

/*
 * Returns the cause of a user-mode debug exception: a step, or the instruction int1. No debug register is ever set. The
 * CPU only sets bits of DR6, so they are cleared here. Interrupts are off: DR6 belongs to the CPU, not to the thread.
 */
static int take_debug_code(void)
{
	u64 dr6;

	assert_irqs_off();
	__asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
	__asm__ volatile("movq %0, %%dr6" : : "r"(DR6_CLEARED));
	return dr6 & DR6_STEP ? TRAP_TRACE : TRAP_BRKPT;
}

/* Interrupts are off; on the return to user mode they may be on or off. */
void exception(struct trap_frame *frame, unsigned vector)
{
	const struct extable_entry *entry;

	if (frame_is_user(frame) && vector == TRAP_DB) {
		int code = take_debug_code();

		irq_enable();
		user_debug_exception(frame, code);
		return;
	}
	if (frame_is_user(frame)) {
		irq_enable();
		user_exception(frame, vector, error_code(frame));
		return;
	}
	entry = extable_find(frame->rip);
	if (vector == TRAP_GP && entry) { /* a user pointer that is not canonical */
		frame->rip = entry->fixup;
		return;
	}
	panic_at(frame, NO_ADDRESS, "Unexpected %s in the kernel (vector %u, error code %llx)",
		 exception_names[vector] ? exception_names[vector] : "exception", vector,
		 (unsigned long long)error_code(frame));
}

/* Raises the #GP that the CPU would raise for the frame's RIP in user mode. Interrupts off before and after. */
void user_rip_not_canonical(struct trap_frame *frame)
{
	irq_enable();
	user_exception(frame, TRAP_GP, 0);
	irq_disable();
}

/* Runs on a stack of its own, since it may interrupt any instruction. */
void exception_critical(struct trap_frame *frame, unsigned vector)
{
	if (vector == TRAP_NMI) {
		if (!panic_nmi(frame) && !hang_nmi(frame))
			panic_at(frame, NO_ADDRESS, "NMI from outside: reporting where each CPU is");
		return;
	}
	if (vector == TRAP_DF && kstack_is_guard(read_cr2()))
		panic_at(frame, NO_ADDRESS, "Kernel stack overflow at %016llx", (unsigned long long)read_cr2());
	panic_at(frame, NO_ADDRESS, "Unexpected %s (error code %llx)", exception_names[vector],
		 (unsigned long long)error_code(frame));
}

/* ---- Interrupts -------------------------------------------------------------------------------------------------- */

struct interrupt_counts {
	u64 of[VECTOR_SERIAL - VECTOR_TIMER + 1]; /* written by the CPU itself, with interrupts off */
};
STATIC_PER_CPU(struct interrupt_counts, interrupt_counts);

u64 interrupt_count(u32 cpu, enum trap_vector vector)
{
	return READ_ONCE(per_cpu(interrupt_counts, cpu).of[vector - VECTOR_TIMER]);
}

void interrupt(struct trap_frame *frame, unsigned vector)
{
	if (vector != VECTOR_SPURIOUS) {
		u64 *count = &this_cpu(interrupt_counts).of[vector - VECTOR_TIMER];

		WRITE_ONCE(*count, *count + 1);
	}
	switch (vector) {
	case VECTOR_TIMER:
		lapic_eoi();
		clock_event(frame_is_user(frame));
		break;
	case VECTOR_RESCHEDULE:
		lapic_eoi(); /* the exit path checks the thread's work flags */
		break;
	case VECTOR_TLB:
		lapic_eoi();
		tlb_interrupt();
		break;
	case VECTOR_SERIAL:
		lapic_eoi();
		serial_interrupt();
		break;
	case VECTOR_SPURIOUS: /* a spurious interrupt is not acknowledged */
		break;
	}
}
