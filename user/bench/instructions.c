/* SPDX-License-Identifier: MIT */
/*
 * Tests instructions that few programs use: software interrupts, far jumps and returns, interrupt returns, selectors
 * that are not the program's, and flags that no compiler sets.
 *
 * Each must do its work, or raise a signal with the right si_code and address. The kernel must survive all of them.
 *
 * Left out are instructions that CPU vendors treat differently (`sysenter`), and those that newer versions of QEMU
 * execute although they must not: `into` and `salc` in 64-bit code (seen with 10.0), `wbinvd` in user mode (with 10.0
 * and 11.1). code32.c tests 32-bit code, int80.c its system calls.
 */
#include "user/lib/check.h"

#include <ucontext.h>

#define RW (PROT_READ | PROT_WRITE)
#define USER_CS 0x33
#define USER_DS 0x2b
#define KERNEL_CS 0x10
#define KERNEL_DS 0x18
#define TSS 0x40
#define LOCAL 4 /* in a selector: the local descriptor table, which is empty */
#define NOT_CANONICAL 0x1234567890abcdefUL
#define FLAG_OVERFLOW 0x800UL
#define FLAG_TRAP 0x100UL
#define FLAG_NESTED 0x4000UL
#define FLAG_ALIGNMENT 0x40000UL

static const char *kind(void)
{
	static char words[64];

	snprintf(words, sizeof(words), "%s, code %d, %s", strsignal(caught.signo), caught.code,
		 caught.addr ? "an address" : "no address");
	return words;
}

/* Prints the signal that the statement raised, or "done". */
#define TELL(name, statement) printf("%s: %s\n", name, CATCH(statement) ? kind() : "done")

/* ---- Software interrupts ----------------------------------------------------------------------------------------- */

static char *code; /* a page for instructions, below 4 GiB */

static void run_bytes(const char *bytes, size_t size)
{
	memcpy(code, bytes, size);
	code[size] = (char)0xc3;
	((void (*)(void))code)();
}

static void interrupts(void)
{
	volatile unsigned alike = 0;

	section("int n raises SIGSEGV, except int3, into and int $0x80");
	for (volatile int vector = 0; vector < 256; vector++) {
		char bytes[2] = { (char)0xcd, (char)vector };

		if (vector == 3 || vector == 4 || (vector > 21 && vector < 32) || vector == 0x80)
			continue;
		CATCH(run_bytes(bytes, 2));
		alike = alike + (caught.signo == SIGSEGV && caught.code == SI_KERNEL && !caught.addr);
	}
	CHECK_EQ(alike, 243);
	TELL("int3", run_bytes("\xcc", 1));
	TELL("int $3", run_bytes("\xcd\x03", 2));
	TELL("int $4", run_bytes("\xcd\x04", 2));
}

static void invalid(void)
{
	section("invalid in 64-bit mode");
	TELL("ud2", run_bytes("\x0f\x0b", 2));
	CHECK(caught.addr == (uintptr_t)code);
	TELL("ud1", run_bytes("\x0f\xb9\xc0", 3));
	TELL("aaa", run_bytes("\x37", 1));
	TELL("pop %ss", run_bytes("\x17", 1));
	TELL("push %cs", run_bytes("\x0e", 1));
	TELL("lcall $sel:off", run_bytes("\x9a\0\0\0\0\x33\0", 7));
	TELL("ljmp $sel:off", run_bytes("\xea\0\0\0\0\x33\0", 7));
	TELL("pusha", run_bytes("\x60", 1));
}

static void privileged(void)
{
	section("privileged instructions");
	TELL("sti", __asm__ volatile("sti"));
	TELL("swapgs", __asm__ volatile("swapgs"));
	TELL("sysret", __asm__ volatile("sysretq"));
	TELL("invlpg", __asm__ volatile("invlpg (%rsp)"));
	TELL("lldt", __asm__ volatile("lldt %0" ::"r"((short)0)));
	TELL("ltr", __asm__ volatile("ltr %0" ::"r"((short)TSS)));
	TELL("lidt", __asm__ volatile("lidt (%rsp)"));
	TELL("wrmsr", __asm__ volatile("wrmsr"));
	TELL("mov to cr4", __asm__ volatile("mov %0, %%cr4" ::"r"(0L)));
	TELL("mov from dr7", __asm__ volatile("mov %%dr7, %%rax" ::: "rax"));
	TELL("clts", __asm__ volatile("clts"));
	TELL("hlt", __asm__ volatile("hlt"));
}

/* ---- Selectors --------------------------------------------------------------------------------------------------- */

static const unsigned short bad_code[] = { 0, 3, KERNEL_CS, KERNEL_CS | 3, USER_DS, TSS | 3, LOCAL | 3, 0xfffb, 0x0b };

static void tell_selector(const char *what, unsigned selector)
{
	char name[32];

	snprintf(name, sizeof(name), "%s %#x", what, selector);
	printf("%s: %s\n", name, caught.signo ? kind() : "done");
}

static void data_selectors(void)
{
	static const unsigned short bad[] = { 0,       KERNEL_DS, KERNEL_DS | 3, USER_CS, USER_DS & ~3,
					      TSS | 3, LOCAL | 3, 0xfffb };

	section("data selectors");
	for (volatile size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CATCH(__asm__ volatile("mov %0, %%ss" ::"r"(bad[i])));
		tell_selector("mov to ss", bad[i]);
	}
	TELL("mov own ss, then int3", __asm__ volatile("mov %0, %%ss; int3" ::"r"(USER_DS)));
	TELL("mov own ss, then getpid", __asm__ volatile("mov %1, %%ss; syscall" ::"a"(SYS_getpid), "r"(USER_DS)
							 : "rcx", "r11"));
	TELL("kernel data in gs", __asm__ volatile("mov %0, %%gs" ::"r"(KERNEL_DS)));
	TELL("code in gs", __asm__ volatile("mov %0, %%gs; mov %1, %%gs" ::"r"(USER_CS), "r"(0)));
}

static void tables(void)
{
	struct {
		unsigned short limit;
		char *base;
	} __attribute__((packed)) gdt = { 0 }, idt = { 0 };

	section("the tables of descriptors cannot be read or written");
	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	CHECK(CATCH(peek(gdt.base)) == SIGSEGV && caught.addr == (uintptr_t)gdt.base);
	CHECK(CATCH(poke(gdt.base, 0)) == SIGSEGV && caught.addr == (uintptr_t)gdt.base);
	CHECK(CATCH(peek(idt.base)) == SIGSEGV && caught.addr == (uintptr_t)idt.base);
}

/* ---- Far returns ------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void far_return_to(unsigned short selector, unsigned long address)
{
	__asm__ volatile("mov %%rsp, %%rbx; sub $256, %%rsp; push %0; push %1; lretq; "
			 ".global landed; landed: mov %%rbx, %%rsp" ::"r"((unsigned long)selector),
			 "r"(address)
			 : "rbx", "memory");
}

extern char landed[];

static void far_returns(void)
{
	section("far returns");
	TELL("to own code", far_return_to(USER_CS, (unsigned long)landed));
	for (volatile size_t i = 0; i < sizeof(bad_code) / sizeof(bad_code[0]); i++) {
		CATCH(far_return_to(bad_code[i], (unsigned long)landed));
		tell_selector("to selector", bad_code[i]);
	}
	TELL("to a non-canonical address", far_return_to(USER_CS, NOT_CANONICAL));
	TELL("to nothing", far_return_to(USER_CS, 16));
}

static __attribute__((noinline)) void far_jump_to(unsigned short selector, unsigned address)
{
	struct {
		unsigned address;
		unsigned short selector;
	} __attribute__((packed)) target = { address, selector };

	__asm__ volatile("ljmp *%0; .global jumped; jumped:" ::"m"(target) : "memory");
}

extern char jumped[];

static void far_jumps(void)
{
	section("far jumps");
	TELL("to own code", far_jump_to(USER_CS, (unsigned)(unsigned long)jumped));
	for (volatile size_t i = 0; i < sizeof(bad_code) / sizeof(bad_code[0]); i++) {
		CATCH(far_jump_to(bad_code[i], (unsigned)(unsigned long)jumped));
		tell_selector("to selector", bad_code[i]);
	}
}

/* ---- Interrupt returns ------------------------------------------------------------------------------------------- */

struct frame {
	unsigned long rip, cs, flags, rsp, ss;
};

extern char returned[];

static unsigned long flags_now(void)
{
	unsigned long flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	return flags;
}

/* Executes iretq with the frame. Returns the flags with which the program resumes. */
static __attribute__((noinline)) unsigned long interrupt_return(struct frame frame, unsigned long flags_before)
{
	unsigned long flags;

	__asm__ volatile("mov %%rsp, %%rbx; sub $256, %%rsp; mov %%rsp, 24(%1);"
			 "push 32(%1); push 24(%1); push 16(%1); push 8(%1); push (%1); push %2; popfq; iretq;"
			 ".global returned; returned: pushfq; pop %0; push $2; popfq; mov %%rbx, %%rsp"
			 : "=&r"(flags)
			 : "r"(&frame), "r"(flags_before)
			 : "rbx", "memory", "cc");
	return flags;
}

static struct frame own_frame(void)
{
	return (struct frame){ (unsigned long)returned, USER_CS, flags_now() & ~FLAG_OVERFLOW, 0, USER_DS };
}

static void interrupt_returns(void)
{
	static const unsigned short bad_stack[] = { 0, 3, KERNEL_DS, KERNEL_DS | 3, USER_CS, USER_DS & ~3, 0xfffb };
	struct frame frame = own_frame();

	section("interrupt returns");
	TELL("to own code", interrupt_return(frame, 2));
	for (volatile size_t i = 0; i < sizeof(bad_code) / sizeof(bad_code[0]); i++) {
		frame.cs = bad_code[i];
		CATCH(interrupt_return(frame, 2));
		tell_selector("to selector", bad_code[i]);
	}
	frame = own_frame();
	for (volatile size_t i = 0; i < sizeof(bad_stack) / sizeof(bad_stack[0]); i++) {
		frame.ss = bad_stack[i];
		CATCH(interrupt_return(frame, 2));
		tell_selector("to stack", bad_stack[i]);
	}
	frame = own_frame();
	frame.rip = NOT_CANONICAL;
	TELL("to a non-canonical address", interrupt_return(frame, 2));
	frame.rip = 16;
	TELL("to nothing", interrupt_return(frame, 2));
	TELL("from a nested task", interrupt_return(own_frame(), 2 | FLAG_NESTED));
	__asm__ volatile("push $2; popfq" ::: "memory", "cc"); /* a signal does not clear the flag */
}

/* Executes iretq with a frame in memory that cannot be read. */
static void return_from(char *stack)
{
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; iretq; mov %%rbx, %%rsp" ::"r"(stack) : "rbx", "memory");
}

/* Compares pages, since CPUs begin with different words of the frame. */
static bool in_page(uintptr_t address, const char *page)
{
	return (address & -PAGE) == (uintptr_t)page;
}

static void frames_out_of_reach(void)
{
	char *none = map_island(1, PROT_NONE), *gone = map_island(1, RW);

	section("the frame of an interrupt return cannot be read");
	MUST(munmap(gone, PAGE) == 0);
	TELL("no permission", return_from(none));
	CHECK(in_page(caught.addr, none));
	TELL("not mapped", return_from(gone));
	CHECK(in_page(caught.addr, gone));
}

static void returned_flags(void)
{
	struct frame frame = own_frame();

	section("the flags that an interrupt return sets");
	frame.flags = 2;
	CHECK_EQ(interrupt_return(frame, 2), 0x202); /* interrupts stay on */
	frame.flags = 0x3a02 | FLAG_ALIGNMENT;
	CHECK_EQ(interrupt_return(frame, 2), 0xa02 | FLAG_ALIGNMENT); /* no I/O privilege */
	frame.flags = 2 | FLAG_NESTED;
	CHECK_EQ(interrupt_return(frame, 2), 0x202 | FLAG_NESTED);
}

static volatile unsigned traps;
static volatile unsigned long trapped_at[8];

static void on_trap(int signo, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signo;
	if (info->si_code == TRAP_TRACE && traps < 8)
		trapped_at[traps] = (unsigned long)regs[REG_RIP];
	traps++;
}

static void stepped(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK }, before;
	struct frame frame = own_frame();

	section("single steps over an interrupt return");
	MUST(sigaction(SIGTRAP, &sa, &before) == 0);
	frame.flags = 2;
	interrupt_return(frame, 2 | FLAG_TRAP);
	CHECK(traps == 1 && trapped_at[0] == (unsigned long)returned);
	traps = 0;
	frame.flags = 2 | FLAG_TRAP;
	interrupt_return(frame, 2);
	CHECK(traps == 4 && trapped_at[0] == (unsigned long)returned + 1);
	MUST(sigaction(SIGTRAP, &before, NULL) == 0);
}

/* ---- The flag AC, by which a kernel may touch user memory under SMAP --------------------------------------------- */

static int with_alignment_flag(void *arg)
{
	char *page = map_island(2, RW);
	int pipes[2];
	long ret;

	(void)arg;
	MUST(pipe(pipes) == 0 && munmap(page + PAGE, PAGE) == 0);
	__asm__ volatile("pushfq; orl %0, (%%rsp); popfq" ::"i"(FLAG_ALIGNMENT) : "memory", "cc");
	poke(page, 'x');
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_write), "D"(pipes[1]), "S"(page), "d"(1)
			 : "rcx", "r11", "memory");
	if (ret != 1 || !(flags_now() & FLAG_ALIGNMENT))
		return 1;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_read), "D"(pipes[0]), "S"(page + PAGE), "d"(1)
			 : "rcx", "r11", "memory");
	if (ret != -EFAULT || !(flags_now() & FLAG_ALIGNMENT))
		return 2;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
	return flags_now() & FLAG_ALIGNMENT ? 0 : 3;
}

int main(void)
{
	static char handler_stack[1 << 16];
	stack_t alternate = { .ss_sp = handler_stack, .ss_size = sizeof(handler_stack) };

	MUST(sigaltstack(&alternate, NULL) == 0);
	catch_faults(SA_ONSTACK);
	code = mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	MUST(code != MAP_FAILED);
	interrupts();
	invalid();
	privileged();
	data_selectors();
	tables();
	far_returns();
	far_jumps();
	interrupt_returns();
	frames_out_of_reach();
	returned_flags();
	stepped();
	print_status("alignment flag", run_child(with_alignment_flag, NULL));
	return check_done();
}
