/* SPDX-License-Identifier: MIT */
/*
 * Panic: the first CPU that panics stops the others by NMI, logs the message, the backtrace, locks and last fault
 * events of every CPU and the page tables of faults in progress, and powers the machine off. It must end in any state:
 * it waits for no lock, and for no CPU longer than STOP_NS, and a panic within the panic ends it early.
 */
#include "drivers/debugcon.h"
#include "drivers/power.h"
#include "drivers/screen.h"
#include "kernel/boot_info.h"
#include "kernel/debug/fault_dump.h"
#include "kernel/debug/lock_owners.h"
#include "kernel/debug/panic.h"
#include "kernel/debug/post_mortem.h"
#include "kernel/debug/symbols.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/sync/lockdep.h"
#include "kernel/time/clock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupt.h"
#include "kernel/x86/setup.h"
#include "mm/machine.h"

#define MAX_BACKTRACE 32
#define STOP_NS 3000000000UL /* on a loaded host another virtual CPU may take long to answer */
#define STOP_LOOPS 5000000UL /* ... or this many reads of the clock, in case it stands still */
#define TEXT_MAX 256
#define NOBODY 0u

/* The state of a stopped CPU, which writes it before it sets `stopped`. */
struct stopped_at {
	struct cpu_place place;
	char text[TEXT_MAX]; /* of its own panic, if it panicked after the first CPU; or empty */
	bool stopped;	     /* store-release */
};
STATIC_PER_CPU(struct stopped_at, stopped_at);

static u32 panicking;	   /* atomic: number of the CPU that panics, + 1 */
static unsigned nr_panics; /* of that CPU; written by it alone */

static void __noreturn halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static const char *function_at(u64 rip, u64 *offset)
{
	return rip >= KERNEL_IMAGE_BASE ? symbol_lookup(rip, offset) : NULL;
}

static void log_address(u64 rip)
{
	u64 offset;
	const char *name = function_at(rip, &offset);

	if (name)
		klog_record("    %016llx %s+0x%llx", (unsigned long long)rip, name, (unsigned long long)offset);
	else
		klog_record("    %016llx", (unsigned long long)rip);
}

/*
 * Returns true, and the interrupted registers, if the function with its frame at `rbp` returns to an entry of entry.asm
 * that interrupted the kernel: such an entry calls with the registers on top of the stack.
 */
static bool interrupted(struct trap_frame *whom, u64 rip, u64 rbp)
{
	u64 offset;
	const char *name = function_at(rip, &offset);

	return name && (!strncmp(name, "entry_", 6) || !strncmp(name, "page_fault_entry.", 17)) &&
	       !kernel_read_nofault(whom, (const void *)(rbp + 2 * sizeof(u64)), sizeof(*whom)) && !frame_is_user(whom);
}

void log_backtrace(u64 rip, u64 rbp)
{
	u64 frame[2]; /* the caller's rbp, the return address */
	struct trap_frame whom;

	log_address(rip);
	for (int depth = 0; depth < MAX_BACKTRACE; depth++) {
		if (rbp < DIRECT_MAP_BASE || kernel_read_nofault(frame, (const void *)rbp, sizeof(frame)))
			return;
		if (frame[1] < KERNEL_IMAGE_BASE)
			return;
		log_address(frame[1]);
		if (interrupted(&whom, frame[1], rbp)) {
			log_address(whom.rip);
			rbp = whom.rbp;
			continue;
		}
		if (frame[0] <= rbp)
			return;
		rbp = frame[0];
	}
}

/* ---- The panicking CPU ------------------------------------------------------------------------------------------- */

static void __noreturn end_panic(void)
{
	klog_record("  booted with: %s", boot_info.command_line);
	klog_record("FAULTLINE-PANIC-END");
	screen_hold();
	power_off();
}

static void __noreturn give_up(void)
{
	static const char text[] = "FAULTLINE-PANIC inside the panic, again\nFAULTLINE-PANIC-END\n";

	debugcon_write_lines(DEBUGCON_LOG, text, sizeof(text) - 1);
	power_off();
}

/* Returns true for the first CPU, also when it panics again within its panic. Interrupts stay off from here on. */
static bool claim_panic(void)
{
	u32 me;

	irq_disable();
	cpu_find_itself();
	me = cpu_id() + 1;
	if (!atomic_cas(&panicking, NOBODY, me))
		return READ_ONCE(panicking) == me;
	lock_checks_off();
	log_lock_off();
	return true;
}

/* The screen shows only the headline, since it has no room for more. */
static void show_headline(const char *text)
{
	char screen[TEXT_MAX + 128];

	ksnprintf(screen, sizeof(screen), "FAULTLINE-PANIC %s\n\nThe whole report is on the first serial port.", text);
	screen_show(SCREEN_ALARM, screen);
}

/* Logs the first panic's text as the headline. A second panic is logged too, and ends the report; a third is not. */
static void say_why(const struct cpu_place *place, const char *fmt, va_list args)
{
	char text[TEXT_MAX];

	if (++nr_panics > 2)
		give_up();
	kvsnprintf(text, sizeof(text), fmt, args);
	klog_record("FAULTLINE-PANIC %s%s", nr_panics > 1 ? "inside the panic: " : "", text);
	show_headline(text);
	if (nr_panics == 1)
		return;
	log_cpu_place(place);
	end_panic();
}

/* ---- The other CPUs ---------------------------------------------------------------------------------------------- */

static void __noreturn panic_stop_here(struct stopped_at *at)
{
	store_release(&at->stopped, true);
	halt_forever();
}

/* A hang report or an operator may also send an NMI to the panicking CPU: it ignores it. */
bool panic_nmi(const struct trap_frame *frame)
{
	struct stopped_at *at = &this_cpu(stopped_at);
	u32 whose = READ_ONCE(panicking);

	if (whose == NOBODY || whose == cpu_id() + 1)
		return whose != NOBODY;
	cpu_place_note(&at->place, frame);
	panic_stop_here(at);
}

/* A CPU that panics later may be inside an NMI, in which no other reaches it: it stops itself. */
static void __noreturn stop_too_late(const struct cpu_place *place, const char *fmt, va_list args)
{
	struct stopped_at *at = &this_cpu(stopped_at);

	at->place = *place;
	kvsnprintf(at->text, sizeof(at->text), fmt, args);
	panic_stop_here(at);
}

static void stop_others(void)
{
	unsigned self = cpu_id();
	u64 deadline = ktime_ns() + STOP_NS, loops = 0;

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		if (cpu != self)
			lapic_send(cpus[cpu].apic_id, LAPIC_NMI);
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		while (cpu != self && !load_acquire(&per_cpu(stopped_at, cpu).stopped) && loops++ < STOP_LOOPS &&
		       ktime_ns() < deadline)
			cpu_relax();
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
			klog_record("  CPU %u%s%s:", cpu, *at->text ? " panics as well: " : "", at->text);
			log_cpu_place(&at->place);
			log_cpu_state(cpu);
		}
	}
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

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

/* The most reliable data comes first: any step that follows pointers may panic again, which ends the report. */
static void __noreturn do_panic(const struct cpu_place *place, const struct trap_frame *frame, u64 addr,
				const char *fmt, va_list args)
{
	if (!claim_panic())
		stop_too_late(place, fmt, args);
	say_why(place, fmt, args);
	if (frame)
		log_registers(frame);
	stop_others();
	klog_record("  CPU %u:", cpu_id());
	log_cpu_place(place);
	log_cpu_state(cpu_id());
	log_others();
	log_lock_limits();
	log_walks(addr);
	fault_dump_events();
	end_panic();
}

void panic(const char *fmt, ...)
{
	struct cpu_place place = { .rip = (u64)__builtin_return_address(0), .rbp = *(u64 *)__builtin_frame_address(0) };
	va_list args;

	va_start(args, fmt);
	do_panic(&place, NULL, NO_ADDRESS, fmt, args);
}

void panic_at(const struct trap_frame *frame, u64 addr, const char *fmt, ...)
{
	struct cpu_place place;
	va_list args;

	cpu_place_note(&place, frame);
	va_start(args, fmt);
	do_panic(&place, frame, addr, fmt, args);
}
