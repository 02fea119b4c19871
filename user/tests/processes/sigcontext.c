/* SPDX-License-Identifier: MIT */
/*
 * Tests signal frames: the handler sees the registers as they were and may edit them, the mask and the alternate stack
 * are those requested, SA_RESETHAND, SA_NODEFER and sa_mask work, and blocked signals stay pending.
 */
#include "user/lib/check.h"

#include <sys/auxv.h>
#include <ucontext.h>

#define RW (PROT_READ | PROT_WRITE)

static volatile int handled;
static char *guarded;

/* Makes the page accessible and returns: the instruction is executed again. */
static void open_the_page(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)context;
	handled++;
	if (mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, RW))
		_exit(98);
}

static void install(int signo, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	MUST(sigaction(signo, &sa, NULL) == 0);
}

static void repair(void)
{
	section("a handler repairs the mapping and the access is done again");
	guarded = map_island(4, PROT_NONE);
	install(SIGSEGV, open_the_page, 0);
	for (int i = 0; i < 4; i++)
		poke(guarded + i * PAGE, i);
	CHECK_EQ(handled, 4);
	CHECK(guarded[3 * PAGE] == 3);
}

static volatile long seen_rip_ok, seen_cr2_ok, seen_error;

/* Skips the two-byte instruction "mov (%rax), %al" that faulted, and puts 77 into rbx. */
static void skip_instruction(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;

	(void)signo;
	handled++;
	seen_rip_ok = ((unsigned char *)regs[REG_RIP])[0] == 0x8a;
	seen_cr2_ok = regs[REG_CR2] == (greg_t)info->si_addr && regs[REG_RAX] == regs[REG_CR2];
	seen_error = regs[REG_ERR];
	regs[REG_RIP] += 2;
	regs[REG_RBX] = 77;
}

static void edit(void)
{
	char *none = map_island(1, PROT_NONE);
	long rbx = 0;

	section("a handler edits the context");
	handled = 0;
	install(SIGSEGV, skip_instruction, 0);
	__asm__ volatile("movb (%%rax), %%al" : "=b"(rbx), "+a"(none) : : "memory");
	CHECK_EQ(handled, 1);
	CHECK_EQ(rbx, 77);
	CHECK_EQ(seen_rip_ok, 1);
	CHECK_EQ(seen_cr2_ok, 1);
	CHECK_THAT("error code: user, read", (seen_error & 0x16) == 4);
}

static void all_registers(void)
{
	unsigned long sum = 0;

	section("all other registers survive");
	handled = 0;
	__asm__ volatile("mov $1, %%ecx; mov $2, %%edx; mov $3, %%esi; mov $4, %%edi; mov $5, %%r8d; mov $6, %%r9d;"
			 "mov $7, %%r10d; mov $8, %%r11d; mov $9, %%r12d; mov $10, %%r13d; mov $11, %%r14d;"
			 "mov $12, %%r15d; xor %%eax, %%eax; stc; movb (%%rax), %%al; mov $0, %%eax; adc $0, %%rax;"
			 "add %%rcx, %%rax; add %%rdx, %%rax; add %%rsi, %%rax; add %%rdi, %%rax; add %%r8, %%rax;"
			 "add %%r9, %%rax; add %%r10, %%rax; add %%r11, %%rax; add %%r12, %%rax; add %%r13, %%rax;"
			 "add %%r14, %%rax; add %%r15, %%rax"
			 : "=a"(sum)
			 :
			 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "cc", "memory");
	CHECK_EQ(handled, 1);
	CHECK_THAT("sum of twelve registers and the carry flag", sum == 79);
}

static char *stack_low, *stack_high;
static volatile int on_stack;
static volatile int blocked_inside;

static void look_around(int signo, siginfo_t *info, void *context)
{
	sigset_t now;
	char here;

	(void)info, (void)context;
	on_stack = &here >= stack_low && &here < stack_high;
	sigprocmask(SIG_BLOCK, NULL, &now);
	blocked_inside = sigismember(&now, signo) * 2 + sigismember(&now, SIGUSR2);
	handled++;
}

static void alternate_stack(void)
{
	stack_t ss = { .ss_size = 16 * PAGE }, old;

	section("sigaltstack");
	stack_low = ss.ss_sp = map_pages(16, RW);
	stack_high = stack_low + 16 * PAGE;
	CHECK(sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE));
	CHECK_EQ(sigaltstack(&ss, NULL), 0);
	CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == stack_low && old.ss_size == 16 * PAGE && old.ss_flags == 0);
	handled = 0;
	install(SIGUSR1, look_around, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK(handled == 1 && on_stack == 1);
	install(SIGUSR1, look_around, 0);
	raise(SIGUSR1);
	CHECK(handled == 2 && on_stack == 0);
	ss.ss_size = 1024;
	CHECK_ERRNO(syscall(SYS_sigaltstack, &ss, NULL), ENOMEM);
	ss.ss_flags = 0x70;
	CHECK_ERRNO(syscall(SYS_sigaltstack, &ss, NULL), EINVAL);
	ss = (stack_t){ .ss_flags = SS_DISABLE };
	CHECK_EQ(sigaltstack(&ss, NULL), 0);
}

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static void note(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info, (void)context;
	handled = 1;
}

/* Returns 0 if the handler ran on an alternate stack of that size. The pages below the stack are inaccessible. */
static int handle_on(void *arg)
{
	size_t size = *(size_t *)arg;
	char *area = map_pages(8, PROT_READ | PROT_WRITE);
	stack_t ss = { .ss_sp = area + 4 * PAGE, .ss_size = size };

	MUST(mprotect(area, 4 * PAGE, PROT_NONE) == 0 && syscall(SYS_sigaltstack, &ss, NULL) == 0);
	handled = 0;
	signal(SIGSEGV, SIG_DFL);
	install(SIGUSR1, note, SA_ONSTACK);
	raise(SIGUSR1);
	return !handled;
}

/* A frame that does not fit kills the process: MINSIGSTKSZ is too small on a CPU with more registers than it allows. */
static void small_stacks(void)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ), minimum = 2048, enough = frame < minimum ? minimum : frame + 512;
	int status;

	section("alternate stacks that just suffice, and that do not");
	CHECK(frame >= 1024 && frame % 16 == 0);
	CHECK(exited_with(run_child(handle_on, &enough), 0));
	status = run_child(handle_on, &minimum);
	CHECK_THAT("MINSIGSTKSZ", frame < minimum ? exited_with(status, 0) : killed_by(status, SIGSEGV));
}

static void masks(void)
{
	struct sigaction sa = { .sa_sigaction = look_around, .sa_flags = SA_SIGINFO }, old;
	sigset_t set;

	section("masks during the handler");
	handled = 0;
	sigaddset(&sa.sa_mask, SIGUSR2);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
	CHECK_EQ(blocked_inside, 3);
	sigprocmask(SIG_BLOCK, NULL, &set);
	CHECK(!sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2));
	sa.sa_flags |= SA_NODEFER;
	sigemptyset(&sa.sa_mask);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
	CHECK_EQ(blocked_inside, 0);
	sa.sa_flags = SA_SIGINFO | SA_RESETHAND;
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
	CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
	CHECK_EQ(handled, 3);
}

static void pending(void)
{
	sigset_t set, got;
	siginfo_t info;

	section("blocked, pending, waited for");
	handled = 0;
	install(SIGUSR1, look_around, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	raise(SIGUSR1);
	CHECK(sigpending(&got) == 0 && sigismember(&got, SIGUSR1));
	CHECK_EQ(handled, 0);
	CHECK_EQ(sigtimedwait(&set, &info, &(struct timespec){ 0 }), SIGUSR1);
	CHECK_THAT("raise is tgkill", info.si_code == SI_TKILL && info.si_pid == getpid());
	CHECK_ERRNO(sigtimedwait(&set, &info, &(struct timespec){ 0, 1000000 }), EAGAIN);
	raise(SIGUSR1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	CHECK_THAT("delivered once it is unblocked", handled == 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	sigfillset(&got);
	sigdelset(&got, SIGUSR1);
	CHECK_ERRNO(sigsuspend(&got), EINTR);
	CHECK_EQ(handled, 2);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void errors(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	section("errors");
	CHECK_ERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERRNO(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, 1, NULL, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, 7, &sa, NULL, 8), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 1, NULL, 8), EFAULT);
	CHECK_ERRNO(kill(getpid(), 65), EINVAL);
	CHECK_ERRNO(kill(0x3fffffff, 0), ESRCH);
	CHECK_EQ(kill(getpid(), 0), 0);
	CHECK_ERRNO(syscall(SYS_tgkill, getpid(), 0x3fffffff, SIGUSR1), ESRCH);
	CHECK_ERRNO(syscall(SYS_tgkill, -1, getpid(), SIGUSR1), EINVAL);
}

int main(void)
{
	repair();
	edit();
	all_registers();
	alternate_stack();
	small_stacks();
	masks();
	pending();
	errors();
	return check_done();
}
