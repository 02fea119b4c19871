/* SPDX-License-Identifier: MIT */
/*
 * Starts the other CPUs, and sends the interrupts by which CPUs communicate.
 *
 * TLB shootdown: each CPU has one request of its own (what to flush, and which CPUs have not done it yet) and one inbox
 * (the CPUs whose requests it must serve). An initiator fills in its request, sets its bit in every target's inbox,
 * interrupts the targets whose inbox was empty, and waits. It waits with interrupts on and so serves other requests:
 * any number of CPUs may wait for each other. No locks.
 */
#include "kernel/lib/print.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/smp.h"
#include "kernel/lib/string.h"
#include "kernel/x86/interrupt.h"
#include "kernel/x86/kstack.h"
#include "kernel/x86/setup.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/xsave.h"
#include "kernel/time/clock.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"

#define AP_TRAMPOLINE 0x8000UL /* boot/ap.asm has the same */
#define AP_START_US 200000     /* after this time the start-up IPI is repeated, ... */
#define AP_LATE_US                                                                                                     \
	10000000 /* ... and the CPU gets as long as on Linux: a busy host may not run a virtual CPU for a while */
#define FLUSH_ALL_PAGES 33 /* beyond this, flushing everything is cheaper */

extern char ap_trampoline[], ap_trampoline_end[];
extern u64 ap_stack_top;
extern u32 ap_cpu;

struct tlb_request {
	vaddr_t start, end; /* written by the initiator before it publishes the request */
	u64 waiting;	    /* atomic: targets that have not flushed yet */
};
STATIC_PER_CPU(struct tlb_request, tlb_requests);
STATIC_PER_CPU(u64, tlb_inbox); /* atomic: CPUs whose requests must be served */

/* ---- Starting other CPUs ----------------------------------------------------------------------------------------- */

/* boot/ap.asm calls this, on a stack of the CPU's own. From here on the CPU is set up like the first. */
void ap_main(u32 id);
void ap_main(u32 id)
{
	cpu_init(id);
	xsave_init_cpu();
	lapic_init_cpu();
	store_release(&nr_cpus_online, id + 1);
	cpu_start_scheduling();
}

static bool wait_online(unsigned id, u64 us)
{
	u64 end = ktime_ns() + us * 1000;

	while (load_acquire(&nr_cpus_online) <= id) {
		if (ktime_ns() > end)
			return false;
		cpu_relax();
	}
	return true;
}

/* Sends INIT, then the start-up IPI, which is repeated once if the CPU does not start, as Intel's manual describes. */
static bool start_cpu(unsigned id, u32 apic_id)
{
	char *stack = kstack_alloc();

	BUG_ON(!stack, "No memory for the stack of CPU %u", id);
	cpu_init_ist(id);
	ap_stack_top = (u64)stack + KSTACK_SIZE;
	ap_cpu = id;
	lapic_send(apic_id, LAPIC_INIT);
	delay_us(100);
	lapic_send(apic_id, LAPIC_STARTUP | AP_TRAMPOLINE >> PAGE_SHIFT);
	if (wait_online(id, AP_START_US))
		return true;
	lapic_send(apic_id, LAPIC_STARTUP | AP_TRAMPOLINE >> PAGE_SHIFT);
	return wait_online(id, AP_LATE_US);
}

void smp_init(void)
{
	unsigned id = 1;

	memcpy(phys_to_virt(AP_TRAMPOLINE), ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	for (unsigned i = 0; i < acpi_info.nr_cpus; i++) {
		u32 apic_id = acpi_info.apic_ids[i];

		if (apic_id == this_cpu_struct()->apic_id)
			continue;
		if (!start_cpu(id, apic_id))
			panic("The CPU with APIC number %u does not start", apic_id);
		id++;
	}
	klog("%u CPUs", nr_cpus());
}

/* ---- Interrupts between CPUs ------------------------------------------------------------------------------------- */

void smp_send_reschedule(unsigned cpu)
{
	lapic_send(cpus[cpu].apic_id, LAPIC_FIXED | VECTOR_RESCHEDULE);
}

void machine_tlb_flush_local(vaddr_t start, vaddr_t end)
{
	if (end - start > FLUSH_ALL_PAGES * PAGE_SIZE) {
		write_cr3(read_cr3());
		return;
	}
	for (vaddr_t addr = start; addr < end; addr += PAGE_SIZE)
		__asm__ volatile("invlpg (%0)" ::"r"(addr) : "memory");
}

void machine_tlb_shootdown(u64 targets, vaddr_t start, vaddr_t end)
{
	unsigned self = cpu_id();
	struct tlb_request *request = &per_cpu(tlb_requests, self);

	targets &= ~(1UL << self);
	if (!targets)
		return;
	ASSERT(irqs_enabled(), "a CPU that waits for a shootdown must serve other requests");
	request->start = start;
	request->end = end;
	store_release(&request->waiting, targets);
	for (u64 left = targets; left; left &= left - 1) {
		unsigned target = (unsigned)__builtin_ctzl(left);

		if (!atomic_or(&per_cpu(tlb_inbox, target), 1UL << self))
			lapic_send(cpus[target].apic_id, LAPIC_FIXED | VECTOR_TLB);
	}
	race_point(shootdown_sent);
	while (load_acquire(&request->waiting))
		cpu_relax();
}

void tlb_interrupt(void)
{
	unsigned self = cpu_id();
	u64 initiators = atomic_xchg(&per_cpu(tlb_inbox, self), 0UL);

	if (initiators)
		event_now(EVENT_flush, 0, initiators);
	for (; initiators; initiators &= initiators - 1) {
		struct tlb_request *request = &per_cpu(tlb_requests, __builtin_ctzl(initiators));

		machine_tlb_flush_local(request->start, request->end);
		atomic_and(&request->waiting, ~(1UL << self));
	}
}
