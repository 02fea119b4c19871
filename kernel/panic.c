/* SPDX-License-Identifier: MIT */
/*
 * Panic: the first CPU to call it stops the others by NMI, prints what happened, of every CPU its backtrace, locks and last
 * fault events, the page tables where a fault was going on, and switches the machine off. It must work in any state: no locks are waited for, memory is read by the nofault copy only, a panic
 * inside the panic cuts it short.
 */
#include "drivers/power.h"
#include "kernel/boot_info.h"
#include "kernel/fault_dump.h"
#include "kernel/lock_owners.h"
#include "kernel/lockdep.h"
#include "kernel/panic.h"
#include "kernel/post_mortem.h"
#include "kernel/print.h"
#include "kernel/symbols.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupt.h"
#include "kernel/x86/setup.h"
#include "mm/machine.h"

#define MAX_BACKTRACE 32
#define STOP_TIMEOUT_LOOPS 20000000UL
#define NOBODY 0u

/* Where a stopped CPU was. Written by it before it sets `stopped`. */
struct stopped_at {
	struct cpu_place place;
	bool stopped; /* store-release */
};
STATIC_PER_CPU(struct stopped_at, stopped_at);

static u32 panicking; /* atomic: number of the CPU that panics, + 1 */

static void __noreturn halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void log_address(u64 rip)
{
	u64 offset;
	const char *name = symbol_lookup(rip, &offset);

	if (name)
		klog_record("    %016llx %s+0x%llx", (unsigned long long)rip, name, (unsigned long long)offset);
	else
		klog_record("    %016llx", (unsigned long long)rip);
}

void log_backtrace(u64 rip, u64 rbp)
{
	u64 frame[2]; /* the caller's rbp, the return address */

	log_address(rip);
	for (int depth = 0; depth < MAX_BACKTRACE; depth++) {
		if (rbp < DIRECT_MAP_BASE || kernel_read_nofault(frame, (const void *)rbp, sizeof(frame)))
			return;
		if (frame[1] < KERNEL_IMAGE_BASE)
			return;
		log_address(frame[1]);
		if (frame[0] <= rbp)
			return;
		rbp = frame[0];
	}
}

/* The first CPU goes on; others wait to be stopped; a second panic on the first CPU ends at once. */
static void claim_panic(void)
{
	u32 me = cpu_id() + 1;

	irq_disable();
	if (atomic_cas(&panicking, NOBODY, me)) {
		lock_checks_off();
		log_lock_off();
		return;
	}
	if (READ_ONCE(panicking) != me)
		halt_forever();
	klog_record("FAULTLINE-PANIC-END (another panic inside the panic)");
	power_off();
}

void panic_stop_this_cpu(const struct trap_frame *frame)
{
	struct stopped_at *at = &this_cpu(stopped_at);

	if (READ_ONCE(panicking) == NOBODY)
		return;
	cpu_place_note(&at->place, frame);
	store_release(&at->stopped, true);
	halt_forever();
}

static void stop_others(void)
{
	unsigned self = cpu_id();

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		if (cpu != self)
			lapic_send(cpus[cpu].apic_id, LAPIC_NMI);
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		for (u64 loops = 0; cpu != self && loops < STOP_TIMEOUT_LOOPS; loops++) {
			if (load_acquire(&per_cpu(stopped_at, cpu).stopped))
				break;
			cpu_relax();
		}
}

static void log_others(void)
{
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		const struct stopped_at *at = &per_cpu(stopped_at, cpu);

		if (cpu == cpu_id())
			continue;
		if (!load_acquire(&at->stopped)) {
			klog_record("  CPU %u does not answer", cpu);
		} else {
			klog_record("  CPU %u:", cpu);
			log_cpu_place(&at->place);
			log_cpu_state(cpu);
		}
	}
}

/* What is surest comes first: whatever follows pointers may end in another panic, which cuts the text short. */
static void __noreturn finish_panic(u64 rip, u64 rbp, u64 addr)
{
	stop_others();
	klog_record("  CPU %u:", cpu_id());
	log_backtrace(rip, rbp);
	log_cpu_state(cpu_id());
	log_others();
	log_lock_limits();
	log_walks(addr);
	fault_dump_events();
	klog_record("  booted with: %s", boot_info.command_line);
	klog_record("FAULTLINE-PANIC-END");
	power_off();
}

void panic(const char *fmt, ...)
{
	char text[256];
	va_list args;

	claim_panic();
	va_start(args, fmt);
	kvsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	klog_record("FAULTLINE-PANIC %s", text);
	finish_panic((u64)__builtin_return_address(0), *(u64 *)__builtin_frame_address(0), 0);
}

static void log_registers(const struct trap_frame *f)
{
#define R(name) #name " %016llx "
#define V(name) (unsigned long long)f->name
	klog_record("  " R(rip) R(rsp) R(rflags) "cs %llx cr2 %016llx", V(rip), V(rsp), V(rflags), V(cs),
		    (unsigned long long)read_cr2());
	klog_record("  " R(rax) R(rbx) R(rcx) R(rdx), V(rax), V(rbx), V(rcx), V(rdx));
	klog_record("  " R(rsi) R(rdi) R(rbp) R(r8), V(rsi), V(rdi), V(rbp), V(r8));
	klog_record("  " R(r9) R(r10) R(r11) R(r12), V(r9), V(r10), V(r11), V(r12));
	klog_record("  " R(r13) R(r14) R(r15), V(r13), V(r14), V(r15));
#undef R
#undef V
}

void panic_at(const struct trap_frame *frame, const char *fmt, ...)
{
	char text[256];
	va_list args;

	claim_panic();
	va_start(args, fmt);
	kvsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	klog_record("FAULTLINE-PANIC %s", text);
	log_registers(frame);
	finish_panic(frame->rip, frame->rbp, read_cr2());
}
