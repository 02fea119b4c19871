/* SPDX-License-Identifier: MIT */
/*
 * Tests that vector registers survive what the kernel does in between.
 *
 * That is: system calls, preemption by a busy thread with other values, page faults, signal handlers that use the
 * registers, and fork. Covers SSE always, and AVX if the CPU has it. Also tests that a signal frame says which state it
 * holds.
 */
#include "user/lib/check.h"

#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <ucontext.h>

#define UC_FP_XSTATE 1
#define SW_RESERVED_OFFSET 464
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u

struct vectors {
	uint64_t lane[16][4];
};

static bool have_avx;

static bool cpu_has_avx(void)
{
	unsigned int a, b, c = 0, d, low = 0, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
		return false;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & 6) == 6;
}

static void fill(struct vectors *v, uint64_t seed)
{
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 4; j++)
			v->lane[i][j] = seed * 0x9e3779b97f4a7c15 + i * 4 + j;
}

#define EACH_REGISTER(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_SSE(n) "movups " #n "*32(%[in]), %%xmm" #n "\n"
#define SAVE_SSE(n) "movups %%xmm" #n ", " #n "*32(%[out])\n"
#define LOAD_AVX(n) "vmovups " #n "*32(%[in]), %%ymm" #n "\n"
#define SAVE_AVX(n) "vmovups %%ymm" #n ", " #n "*32(%[out])\n"
#define ALL_XMM                                                                                                        \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",     \
		"xmm13", "xmm14", "xmm15"

/* Loads all registers, executes one system call, stores them again. */
static long across_syscall(const struct vectors *in, struct vectors *out, long nr, long arg1, long arg2)
{
	long result = nr;

	if (have_avx)
		__asm__ volatile(EACH_REGISTER(LOAD_AVX) "syscall\n" EACH_REGISTER(SAVE_AVX) "vzeroupper\n"
				 : "+a"(result)
				 : [in] "r"(in), [out] "r"(out), "D"(arg1), "S"(arg2)
				 : "rcx", "r11", "memory", ALL_XMM);
	else
		__asm__ volatile(EACH_REGISTER(LOAD_SSE) "syscall\n" EACH_REGISTER(SAVE_SSE)
				 : "+a"(result)
				 : [in] "r"(in), [out] "r"(out), "D"(arg1), "S"(arg2)
				 : "rcx", "r11", "memory", ALL_XMM);
	return result;
}

/* Loads all registers, touches memory and spins for a while in user mode, stores them again. */
static void across_spin(const struct vectors *in, struct vectors *out, char *touch, long rounds)
{
	if (have_avx)
		__asm__ volatile(
			EACH_REGISTER(LOAD_AVX) "movb $1, (%[touch])\n1: dec %[rounds]\n jnz 1b\n" EACH_REGISTER(
				SAVE_AVX) "vzeroupper\n"
			: [rounds] "+r"(rounds)
			: [in] "r"(in), [out] "r"(out), [touch] "r"(touch)
			: "memory", "cc", ALL_XMM);
	else
		__asm__ volatile(
			EACH_REGISTER(LOAD_SSE) "movb $1, (%[touch])\n1: dec %[rounds]\n jnz 1b\n" EACH_REGISTER(
				SAVE_SSE)
			: [rounds] "+r"(rounds)
			: [in] "r"(in), [out] "r"(out), [touch] "r"(touch)
			: "memory", "cc", ALL_XMM);
}

static bool same(const struct vectors *a, const struct vectors *b)
{
	int lanes = have_avx ? 4 : 2;

	for (int i = 0; i < 16; i++)
		for (int j = 0; j < lanes; j++)
			if (a->lane[i][j] != b->lane[i][j])
				return false;
	return true;
}

static int wrong_after_syscalls(uint64_t seed, int rounds)
{
	struct vectors in, out;
	int bad = 0;

	for (int i = 0; i < rounds; i++) {
		fill(&in, seed + i);
		across_syscall(&in, &out, SYS_sched_yield, 0, 0);
		bad += !same(&in, &out);
	}
	return bad;
}

static int wrong_after_spins(uint64_t seed, int rounds)
{
	char *page = map_pages(1, PROT_READ | PROT_WRITE);
	struct vectors in, out;
	int bad = 0;

	for (int i = 0; i < rounds; i++) {
		fill(&in, seed + i);
		MUST(madvise(page, PAGE, MADV_DONTNEED) == 0);
		across_spin(&in, &out, page, 200000);
		bad += !same(&in, &out);
	}
	munmap(page, PAGE);
	return bad;
}

static void *worker(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 1000;

	return (void *)(intptr_t)(wrong_after_syscalls(seed, 200) + wrong_after_spins(seed, 30));
}

static void threads(void)
{
	pthread_t threads[6];
	long bad = 0;
	void *value;

	section("system calls, faults and preemption among six threads");
	for (intptr_t i = 0; i < 6; i++)
		MUST(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], &value);
		bad += (intptr_t)value;
	}
	CHECK_EQ(bad, 0);
}

static volatile int handled;

static void spoil(int signo)
{
	struct vectors in, out;

	(void)signo;
	fill(&in, 0xdead);
	across_syscall(&in, &out, SYS_getpid, 0, 0);
	handled += same(&in, &out);
}

static void signals(void)
{
	struct vectors in, out;
	int bad = 0;

	section("a handler that uses the registers");
	signal(SIGUSR1, spoil);
	for (int i = 0; i < 50; i++) {
		fill(&in, i);
		across_syscall(&in, &out, SYS_tkill, syscall(SYS_gettid), SIGUSR1);
		bad += !same(&in, &out);
	}
	CHECK_EQ(handled, 50);
	CHECK_EQ(bad, 0);
}

static void forking(void)
{
	struct vectors in, out;
	int status;
	long pid;

	section("fork");
	fill(&in, 4711);
	fflush(stdout);
	pid = across_syscall(&in, &out, SYS_fork, 0, 0);
	if (pid == 0)
		_exit(!same(&in, &out));
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(same(&in, &out));
	CHECK_THAT("the child has them too", status == 0);
}

static void control(void)
{
	unsigned int mxcsr = 0x1f80 | 0x6000 | 0x40 /* denormals are zero */, now = 0;
	unsigned short fcw = 0x0c7f, fcw_now = 0;
	unsigned int mxcsr_first;
	unsigned short fcw_first;

	section("control words");
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr_first), "=m"(fcw_first));
	CHECK_EQ(mxcsr_first, 0x1f80);
	CHECK_EQ(fcw_first, 0x37f);
	__asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr), "m"(fcw));
	sched_yield();
	handled = 0;
	raise(SIGUSR1);
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(now), "=m"(fcw_now));
	CHECK(now == mxcsr && fcw_now == fcw);
	__asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr_first), "m"(fcw_first));
}

static volatile int says_xstate, frame_is_whole;

/*
 * Reads Linux's struct _fpx_sw_bytes in the reserved part of FXSAVE's image, and the second magic word behind the whole
 * state.
 */
static void look_at_frame(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const char *image = (const void *)uc->uc_mcontext.fpregs;
	struct {
		unsigned int magic1, extended_size;
		unsigned long features;
		unsigned int xstate_size;
	} sw;
	unsigned int magic2;

	(void)signo, (void)info;
	says_xstate = uc->uc_flags & UC_FP_XSTATE;
	memcpy(&sw, image + SW_RESERVED_OFFSET, sizeof(sw));
	frame_is_whole = sw.magic1 == FP_XSTATE_MAGIC1 && sw.extended_size == sw.xstate_size + sizeof(magic2);
	if (frame_is_whole) {
		memcpy(&magic2, image + sw.xstate_size, sizeof(magic2));
		frame_is_whole = magic2 == FP_XSTATE_MAGIC2;
	}
}

static void frame(void)
{
	struct sigaction sa = { .sa_sigaction = look_at_frame, .sa_flags = SA_SIGINFO };
	unsigned int a, b, c = 0, d;
	int has_xsave = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE);

	section("what a signal frame holds");
	MUST(sigaction(SIGUSR2, &sa, NULL) == 0);
	raise(SIGUSR2);
	CHECK_THAT("UC_FP_XSTATE stands for XSAVE's format", says_xstate == has_xsave);
	CHECK_THAT("and that is marked as such", frame_is_whole == has_xsave);
}

int main(void)
{
	have_avx = cpu_has_avx();
	threads();
	signals();
	forking();
	control();
	frame();
	return check_done();
}
