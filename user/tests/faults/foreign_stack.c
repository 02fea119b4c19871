/* SPDX-License-Identifier: MIT */
/*
 * Tests whose access grows a stack.
 *
 * The program's own accesses do, and so do calls that read or write its memory for it. process_vm_readv and
 * process_vm_writev do not, even on the program's own stack, nor do calls that look up a page without reading its
 * contents.
 */
#include "user/lib/check.h"
#include "user/lib/futex.h"
#include "user/lib/raw_clone.h"

#include <sched.h>
#include <sys/uio.h>

#define ROOM 64 /* free pages below a stack, beyond its guard gap */
#define GAP 256 /* pages that Linux keeps free below a stack */

static char buf[8], child_stack[4 * PAGE];
static int ends[2];

/* Maps one page that grows downwards, with room below it. */
static char *small_stack(void)
{
	char *p = mmap(NULL, (GAP + ROOM + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *stack = p + (GAP + ROOM) * PAGE;

	MUST(p != MAP_FAILED && munmap(p, (GAP + ROOM + 1) * PAGE) == 0);
	MUST(mmap(stack, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1,
		  0) == stack);
	poke(stack, 1);
	return stack;
}

/* Returns by how many pages the stack has grown, and unmaps it. */
static long growth(char *stack)
{
	unsigned char vec[ROOM];
	long nr = 0;

	while (nr < ROOM && mincore(stack - (nr + 1) * PAGE, PAGE, vec) == 0)
		nr++;
	MUST(munmap(stack - ROOM * PAGE, (ROOM + 1) * PAGE) == 0);
	return nr;
}

/* The call uses `below`, an address three pages below a stack. */
#define GROWS(call)                                                                                                    \
	do {                                                                                                           \
		char *stack = small_stack(), *below = stack - 3 * PAGE;                                                \
		long done = (call);                                                                                    \
                                                                                                                       \
		CHECK_THAT(#call " grows it", done >= 0 && growth(stack) == 3);                                        \
	} while (0)
#define LEAVES(call, error)                                                                                            \
	do {                                                                                                           \
		char *stack = small_stack(), *below = stack - 3 * PAGE;                                                \
		bool refused = (call) == -1 && errno == (error);                                                       \
                                                                                                                       \
		CHECK_THAT(#call " leaves it", refused &&growth(stack) == 0);                                          \
	} while (0)

static long copy_in(void *from)
{
	struct iovec local = { buf, 8 }, remote = { from, 8 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static long copy_out(void *to)
{
	struct iovec local = { buf, 8 }, remote = { to, 8 };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

static long wait_for_nothing(void *word)
{
	return futex_wait(word, 1) == -1 && errno == EAGAIN ? 0 : -1;
}

static long wake_and_set(void *word, void *word2)
{
	return futex(word, FUTEX_WAKE_OP | FUTEX_PRIVATE, 1, NULL, word2, 0);
}

static int end_at_once(void *arg)
{
	return arg != NULL;
}

/* Starts a child with CLONE_CHILD_CLEARTID: the kernel clears the word when the child ends. */
static long child_that_clears(void *word)
{
	int flags = CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID | SIGCHLD, status;
	pid_t pid = raw_clone(end_at_once, child_stack + sizeof(child_stack), flags, NULL, NULL, NULL, word);

	return waitpid(pid, &status, 0) == pid && exited_with(status, 0) ? 0 : -1;
}

static void own(void)
{
	section("the program's own");
	GROWS((poke(below, 1), 0));
	GROWS(write(ends[1], below, 8));
	GROWS(read(ends[0], below, 8));
	GROWS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, below, 8L));
	GROWS(wait_for_nothing(below));
	GROWS(child_that_clears(below));
}

static void foreign(void)
{
	section("accesses that are not the program's own");
	LEAVES(copy_in(below), EFAULT);
	LEAVES(copy_out(below), EFAULT);
	LEAVES(wake_and_set(stack, below), EFAULT);
	LEAVES(mlock(below, PAGE), ENOMEM);
	LEAVES(madvise(below, PAGE, 22 /* MADV_POPULATE_READ */), ENOMEM);
	LEAVES(madvise(below, PAGE, 23 /* MADV_POPULATE_WRITE */), ENOMEM);
}

/* A process reads below another process's stack, after it has grown its own copy. */
static void another_process(void)
{
	char *stack = small_stack(), *below = stack - 3 * PAGE;
	struct iovec local = { buf, 8 }, remote = { below, 8 };
	pid_t parent = getpid(), pid;
	int status;

	section("another process");
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		poke(below, 1); /* the child's copy */
		_exit(process_vm_readv(parent, &local, 1, &remote, 1, 0) == -1 && errno == EFAULT ? 0 : 1);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 0));
	CHECK_EQ(growth(stack), 0);
}

int main(void)
{
	MUST(pipe(ends) == 0);
	own();
	foreign();
	another_process();
	return check_done();
}
