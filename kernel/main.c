/* SPDX-License-Identifier: MIT */
/* The set-up of the kernel, step by step, from the first C function to the first process. */
#include "drivers/debugcon.h"
#include "drivers/ramdisk.h"
#include "drivers/screen.h"
#include "kernel/boot_info.h"
#include "kernel/boot_options.h"
#include "kernel/boot_words.h"
#include "kernel/debug/fault_dump.h"
#include "kernel/debug/hang.h"
#include "kernel/lib/print.h"
#include "kernel/process/task.h"
#include "kernel/sched/sched.h"
#include "kernel/signal/signal.h"
#include "kernel/time/timer.h"
#include "kernel/x86/kstack.h"
#include "kernel/x86/setup.h"
#include "kernel/x86/xsave.h"
#include "mm/page/page_alloc.h"
#include "mm/vma/mm.h"

#define BOOT_STACK_SIZE (16 * 1024)

/* The boot stack, on which boot/entry.asm starts. */
char boot_stack[BOOT_STACK_SIZE] __attribute__((aligned(PAGE_SIZE)));
__asm__(".globl boot_stack_top; boot_stack_top = boot_stack + 16384");

void __noreturn run_on_stack(void *stack_top, void (*fn)(void)); /* kernel/x86/entry.asm */

static void init_machine(enum boot_protocol protocol, paddr_t info)
{
	debugcon_init();
	screen_init();
	cpu_init(0);
	boot_info_read(protocol, info);
	klog("Faultline, booted by %s, command line: %s", boot_info.protocol, boot_info.command_line);
	boot_words_check();
	acpi_init();
	xsave_init();
}

static void init_memory(void)
{
	boot_memory_init();
	ramdisks_create();
	paging_init();
	page_alloc_init();
	boot_memory_finish();
	klog("%llu MiB of memory", (unsigned long long)nr_managed_pages() >> (20 - PAGE_SHIFT));
	mm_init();
}

static void init_time(void)
{
	cpu_init_ist(0);
	lapic_init();
	clock_init();
	timers_init();
	hang_init();
}

static void init_tasks(void)
{
	task_init();
	signal_init();
	sched_init();
	irq_enable();
	smp_init();
}

/* Runs on a stack with a guard page, which becomes the stack of this CPU's idle task. */
static void kmain(void)
{
	init_time();
	init_tasks();
	boot_options_apply();
	fault_dump_init();
	start_first_process();
	cpu_start_scheduling();
}

/* Called by boot/entry.asm, interrupts off, on the boot page tables. */
void __noreturn boot_main(enum boot_protocol protocol, paddr_t info);
void __noreturn boot_main(enum boot_protocol protocol, paddr_t info)
{
	init_machine(protocol, info);
	init_memory();
	run_on_stack((char *)kstack_alloc() + KSTACK_SIZE, kmain);
}
