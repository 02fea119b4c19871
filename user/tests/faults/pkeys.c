/* SPDX-License-Identifier: MIT */
/*
 * Tests memory protection keys: which accesses a key forbids, the signal that reports it, and the accesses to which
 * keys do not apply. With the argument "none": tests what the calls return on a CPU without keys.
 */
#include "user/lib/check.h"
#include "user/lib/text.h"

#include <cpuid.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>
#include <ucontext.h>

#define RW (PROT_READ | PROT_WRITE)
#define NO_ACCESS 1
#define NO_WRITE 2
#define DEFAULT_RIGHTS 0x55555554u
#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif

static int key_alloc(unsigned flags, unsigned rights)
{
	return (int)syscall(SYS_pkey_alloc, flags, rights);
}

static int key_free(int key)
{
	return (int)syscall(SYS_pkey_free, key);
}

static int key_protect(void *p, size_t len, int prot, int key)
{
	return (int)syscall(SYS_pkey_mprotect, p, len, prot, key);
}

static uint32_t rights(void)
{
	uint32_t value, high;

	__asm__ volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0) : "memory");
	return value;
}

static void set_rights(uint32_t value)
{
	__asm__ volatile("wrpkru" ::"a"(value), "c"(0), "d"(0) : "memory");
}

static void set_key(int key, uint32_t forbidden)
{
	set_rights((rights() & ~(3u << 2 * key)) | forbidden << 2 * key);
}

/* ---- Faults and their signal ------------------------------------------------------------------------------------- */

static struct {
	int code, key;
	char *addr;
	uint32_t in_handler, in_frame;
} seen;
static uint32_t rights_offset; /* of PKRU in an XSAVE area */
static uint32_t write_to_frame;
static bool return_to_frame;
static sigjmp_buf env;

static void on_fault(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint32_t *saved = (uint32_t *)((char *)uc->uc_mcontext.fpregs + rights_offset);

	(void)signo;
	seen.in_handler = rights();
	seen.code = info->si_code;
	seen.addr = info->si_addr;
	memcpy(&seen.key, (char *)info + 32, sizeof(seen.key)); /* si_pkey */
	seen.in_frame = *saved;
	if (!return_to_frame)
		siglongjmp(env, 1); /* leaves the handler's rights in force */
	*saved = write_to_frame;
}

/* The value is the si_code of the statement's fault, or 0 if it did not fault. Restores the rights. */
#define FAULT_OF(statement)                                                                                            \
	({                                                                                                             \
		volatile uint32_t before = rights();                                                                   \
		seen.code = 0;                                                                                         \
		if (sigsetjmp(env, 1) == 0) {                                                                          \
			statement;                                                                                     \
		}                                                                                                      \
		set_rights(before);                                                                                    \
		seen.code;                                                                                             \
	})

static void catch (int flags)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | flags };

	MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
}

/* ---- Keys and pages ---------------------------------------------------------------------------------------------- */

static void allocation(void)
{
	int keys[16], n = 0;

	section("allocation");
	CHECK_EQ(rights(), DEFAULT_RIGHTS);
	CHECK_ERRNO(key_alloc(1, 0), EINVAL);
	CHECK_ERRNO(key_alloc(0, 4), EINVAL);
	while (n < 16 && (keys[n] = key_alloc(0, n & 3)) >= 0)
		n++;
	CHECK(n == 15 && errno == ENOSPC);
	CHECK(keys[0] == 1 && keys[14] == 15);
	CHECK_THAT("each has the rights that were asked for", (rights() & 0xff) == 0x90 && rights() >> 30 == 2);
	CHECK_EQ(key_free(7), 0);
	CHECK_ERRNO(key_free(7), EINVAL);
	CHECK_ERRNO(key_free(16), EINVAL);
	CHECK_ERRNO(key_free(-1), EINVAL);
	CHECK_EQ(key_alloc(0, 0), 7);
	while (n-- > 0)
		key_free(keys[n]);
	set_rights(DEFAULT_RIGHTS);
}

static void accesses(void)
{
	int key = key_alloc(0, 0);
	char *p = map_island(8, RW);

	section("data accesses");
	poke(p, 1);
	CHECK_EQ(key_protect(p, 8 * PAGE, RW, key), 0);
	CHECK(FAULT_OF(poke(p, 2)) == 0 && peek(p) == 2);
	set_key(key, NO_WRITE);
	CHECK(FAULT_OF(poke(p, 3)) == SEGV_PKUERR && seen.addr == p && seen.key == key);
	CHECK(FAULT_OF(peek(p)) == 0 && peek(p) == 2);
	CHECK_THAT("a page that is not mapped yet", FAULT_OF(poke(p + PAGE, 3)) == SEGV_PKUERR && seen.key == key);
	CHECK(FAULT_OF(peek(p + PAGE)) == 0);
	set_key(key, NO_ACCESS);
	CHECK(FAULT_OF(peek(p)) == SEGV_PKUERR && FAULT_OF(peek(p + 2 * PAGE)) == SEGV_PKUERR);
	set_key(key, 0);
	CHECK(FAULT_OF(poke(p + 2 * PAGE, 3)) == 0 && peek(p + 2 * PAGE) == 3);
	MUST(mprotect(p, PAGE, PROT_READ) == 0);
	CHECK_THAT("mprotect keeps the key", FAULT_OF(poke(p, 1)) == SEGV_ACCERR);
	set_key(key, NO_WRITE);
	CHECK_THAT("the key is checked before the protection", FAULT_OF(poke(p, 1)) == SEGV_PKUERR);
	CHECK_EQ(key_protect(p, 8 * PAGE, RW, -1), 0);
	CHECK(FAULT_OF(poke(p + PAGE, 1)) == SEGV_PKUERR);
	CHECK_EQ(key_protect(p, 8 * PAGE, RW, 0), 0);
	CHECK(FAULT_OF(poke(p + PAGE, 1)) == 0);
	CHECK_EQ(key_free(key), 0);
	CHECK_ERRNO(key_protect(p, PAGE, RW, key), EINVAL);
	CHECK_ERRNO(key_protect(p, PAGE, RW, 16), EINVAL);
	CHECK_EQ(key_protect(p, 0, RW, 16), 0);
	set_rights(DEFAULT_RIGHTS);
}

static void kernel_copies(void)
{
	int key = key_alloc(0, 0), fds[2];
	char *p = map_island(2, RW), byte;

	section("the kernel on the thread's behalf");
	MUST(pipe(fds) == 0 && write(fds[1], "abc", 3) == 3);
	MUST(key_protect(p, 2 * PAGE, RW, key) == 0);
	set_key(key, NO_WRITE);
	CHECK_ERRNO(read(fds[0], p, 1), EFAULT);
	CHECK_EQ(write(fds[1], p, 1), 1);
	CHECK_ERRNO(mlock(p, PAGE), ENOMEM);
	CHECK_ERRNO(madvise(p, PAGE, 23 /* MADV_POPULATE_WRITE */), EINVAL);
	CHECK_EQ(madvise(p, PAGE, 22 /* MADV_POPULATE_READ */), 0);
	set_key(key, NO_ACCESS);
	CHECK_ERRNO(write(fds[1], p, 1), EFAULT);
	CHECK_ERRNO(write(fds[1], p + PAGE, 1), EFAULT);
	set_key(key, 0);
	CHECK_EQ(read(fds[0], &byte, 1), 1);
	MUST(munlock(p, PAGE) == 0);
	close(fds[0]), close(fds[1]);
	key_free(key);
}

static void foreign_accesses(void)
{
	int key = key_alloc(0, 0), pipes[2];
	char *p = map_island(1, RW), byte = 0;
	struct iovec local = { &byte, 1 }, remote = { p, 1 };
	pid_t child;

	section("another's memory");
	poke(p, 7);
	MUST(key_protect(p, PAGE, RW, key) == 0 && pipe(pipes) == 0);
	child = fork();
	MUST(child >= 0);
	if (child == 0) {
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) == 0 ? peek(p) : 1);
	}
	set_key(key, NO_ACCESS);
	CHECK(process_vm_readv(child, &local, 1, &remote, 1, 0) == 1 && byte == 7);
	byte = 8;
	CHECK_EQ(process_vm_writev(child, &local, 1, &remote, 1, 0), 1);
	CHECK_THAT("the own rights are back", FAULT_OF(peek(p)) == SEGV_PKUERR);
	local.iov_base = p;
	CHECK_ERRNO(process_vm_readv(child, &local, 1, &remote, 1, 0), EFAULT);
	close(pipes[1]);
	int status;
	CHECK(waitpid(child, &status, 0) == child && exited_with(status, 8));
	set_key(key, 0);
	key_free(key);
}

/* ---- Executing --------------------------------------------------------------------------------------------------- */

static char *code_page(void)
{
	char *p = map_island(1, RW);

	memcpy(p, "\xb8\x2a\x00\x00\x00\xc3", 6); /* mov $42, %eax; ret */
	return p;
}

static int call(char *p)
{
	return ((int (*)(void))(uintptr_t)p)();
}

static int key_in_smaps(char *p)
{
	static char text[1 << 16];
	char line[32], *at;

	MUST(read_text("/proc/self/smaps", text, sizeof(text)) > 0);
	snprintf(line, sizeof(line), "%08lx-", (unsigned long)p);
	at = strstr(text, line);
	at = at ? strstr(at, "\nProtectionKey:  ") : NULL;
	return at ? (int)strtol(at + 17, NULL, 10) : -1;
}

static void execution(void)
{
	int key = key_alloc(0, NO_ACCESS);
	char *p = code_page(), *q;

	section("execution");
	MUST(key_protect(p, PAGE, PROT_READ | PROT_EXEC, key) == 0);
	CHECK_THAT("keys do not restrict instruction fetches", call(p) == 42 && FAULT_OF(peek(p)) == SEGV_PKUERR);
	CHECK_EQ(key_in_smaps(p), key);
	MUST(key_protect(p, PAGE, PROT_READ | PROT_EXEC, 0) == 0);
	MUST(key_free(key) == 0);
	CHECK_EQ(mprotect(p, PAGE, PROT_EXEC), 0);
	CHECK_THAT("memory that may only be executed", call(p) == 42 && FAULT_OF(peek(p)) == SEGV_PKUERR);
	key = key_in_smaps(p);
	CHECK(key == 1 && seen.key == key);
	CHECK_ERRNO(key_free(key), EINVAL);
	CHECK_ERRNO(key_protect(p, PAGE, RW, key), EINVAL);
	q = mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(FAULT_OF(peek(q)) == SEGV_PKUERR && key_in_smaps(q) == key);
	CHECK_EQ(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
	CHECK(FAULT_OF(peek(p)) == 0 && call(p) == 42 && key_in_smaps(p) == 0);
	munmap(q, PAGE);
}

/* ---- Signals, processes ------------------------------------------------------------------------------------------ */

/* From wrpkru until the handler returns, key 0 forbids writes to the stack and to data: hence the assembly. */
static void signal_without_stack(uint32_t value, pid_t self)
{
	uint64_t zero = 0;

	__asm__ volatile("wrpkru; movl %[kill], %%eax; syscall"
			 : "+a"(value), "+c"(zero)
			 : [kill] "i"(SYS_kill), "d"(0), "D"(self), "S"(SIGSEGV)
			 : "r11", "memory");
}

static void signals(void)
{
	int key = key_alloc(0, 0);
	char *p = map_island(16, RW);
	stack_t stack = { .ss_sp = p, .ss_size = 16 * PAGE }, none = { .ss_flags = SS_DISABLE };
	uint32_t open = rights(), shut = open | (uint32_t)NO_ACCESS << 2 * key;

	section("signal handlers");
	MUST(key_protect(p + 15 * PAGE, PAGE, RW, key) == 0);
	set_rights(shut);
	CHECK(FAULT_OF(peek(p + 15 * PAGE)) == SEGV_PKUERR);
	CHECK_EQ(seen.in_handler, DEFAULT_RIGHTS);
	CHECK_EQ(seen.in_frame, shut);
	return_to_frame = true;
	write_to_frame = open;
	poke(p + 15 * PAGE, 5);
	CHECK_THAT("the handler gave the right back in the frame", rights() == open && peek(p + 15 * PAGE) == 5);
	write_to_frame = shut;
	set_rights(shut);
	MUST(raise(SIGSEGV) == 0);
	CHECK_THAT("a handler that changes nothing", rights() == shut && seen.in_frame == shut);
	return_to_frame = false;
	set_rights(open);
	MUST(key_protect(p, 16 * PAGE, RW, 0) == 0 && sigaltstack(&stack, NULL) == 0);
	catch (SA_ONSTACK);
	return_to_frame = true;
	write_to_frame = open;
	signal_without_stack(open | 2u, getpid());
	CHECK_THAT("a frame is written whatever the rights are", seen.in_frame == (open | 2u) && rights() == open);
	return_to_frame = false;
	catch (0);
	MUST(sigaltstack(&none, NULL) == 0);
	key_free(key);
}

static int child_looks(void *p)
{
	int code = FAULT_OF(peek(p));

	set_rights(rights() & 3);
	return code == SEGV_PKUERR && peek(p) == 9 && key_alloc(0, 0) == 3 ? 0 : 1;
}

static void *thread_looks(void *p)
{
	return (void *)(uintptr_t)FAULT_OF(peek(p));
}

static void inheritance(char *program)
{
	int key = key_alloc(0, 0);
	char *p = map_island(1, RW);
	pthread_t thread;
	void *result;
	pid_t child;
	int status;

	section("fork, threads, exec");
	CHECK_EQ(key, 2);
	poke(p, 9);
	MUST(key_protect(p, PAGE, RW, key) == 0);
	set_key(key, NO_ACCESS);
	CHECK_EQ(run_child(child_looks, p), 0);
	MUST(pthread_create(&thread, NULL, thread_looks, p) == 0 && pthread_join(thread, &result) == 0);
	CHECK_EQ((uintptr_t)result, SEGV_PKUERR);
	set_key(key, 0);
	child = fork();
	if (child == 0) {
		execl(program, program, "executed", NULL);
		_exit(99);
	}
	CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
	key_free(key);
}

/* ---- CPUs without keys ------------------------------------------------------------------------------------------- */

static int without_keys(void)
{
	char *p = map_island(1, RW);

	section("no keys");
	CHECK_ERRNO(key_alloc(1, 0), EINVAL);
	CHECK_ERRNO(key_alloc(0, 4), EINVAL);
	CHECK_ERRNO(key_alloc(0, 0), EINVAL);
	CHECK_ERRNO(key_alloc(0, 0), ENOSPC);
	CHECK_ERRNO(key_free(0), EINVAL);
	CHECK_ERRNO(key_free(1), EINVAL);
	CHECK_EQ(key_protect(p, PAGE, PROT_READ, -1), 0);
	CHECK_ERRNO(key_protect(p, PAGE, PROT_READ, 0), EINVAL);
	CHECK_EQ(mprotect(p, PAGE, PROT_EXEC), 0);
	CHECK_THAT("what may be executed can be read", peek(p) == 0);
	CHECK_EQ(key_in_smaps(p), -1);
	return check_done();
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	unsigned a, b, c, d;
	pthread_t second;

	if (argc > 1 && !strcmp(argv[1], "none"))
		return without_keys();
	if (argc > 1)
		return rights() == DEFAULT_RIGHTS && key_alloc(0, 0) == 1 ? 0 : 1;
	__cpuid_count(0xd, 9, a, b, c, d);
	rights_offset = b;
	catch (0);
	allocation();
	MUST(pthread_create(&second, NULL, wait_for_ever, NULL) == 0); /* so that speculation is tried */
	accesses();
	kernel_copies();
	foreign_accesses();
	execution();
	signals();
	inheritance(argv[0]);
	return check_done();
}
