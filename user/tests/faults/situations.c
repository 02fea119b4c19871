/* SPDX-License-Identifier: MIT */
/*
 * Makes one access after the other, each to a page in a different situation: private, shared, of a file in memory or on
 * a disk, swapped out, shared with a child, growing, forbidden, unmapped. Before each access,
 * tests/gdb/why_situations.py asks GDB's `why`, then lets the access happen and compares; tests/gdb/why_flight.py asks
 * while the fault is in progress. Arguments: the policy, and N to announce every N-th access to the debugger. Needs a
 * disk for files, and one for swap.
 */
#include "user/lib/check.h"
#include "user/lib/faultline.h"

#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define RW (PROT_READ | PROT_WRITE)
#define TABLE (512 * PAGE)
#define FILES "/dev/ram0"
#define SWAP "/sys/block/ram1/"
#define DIRTY 8 /* limit of dirty pages of the disk, above which writers wait */

static int zeros, sink;
static unsigned nr_accesses, announced;

/* The debugger stops here and asks. `access` is r, w or x, or R or W for an access by the kernel in a system call. */
static __attribute__((noipa)) void about_to(const char *what, char *p, int access)
{
	__asm__ volatile("nop" ::"r"(what), "r"(p), "r"(access) : "memory");
}

/* The debugger stops here and compares. `error` is the signal or the errno. */
static __attribute__((noipa)) void has_done(int error)
{
	__asm__ volatile("nop" ::"r"(error) : "memory");
}

static int by_kernel(ssize_t result)
{
	return result == 1 ? 0 : errno;
}

static int access_page(char *p, char access)
{
	switch (access) {
	case 'r':
		return CATCH(peek(p));
	case 'w':
		return CATCH(poke(p, 'w'));
	case 'x':
		return CATCH(((void (*)(void))p)());
	case 'R':
		return by_kernel(syscall(SYS_write, sink, p, 1));
	default:
		return by_kernel(syscall(SYS_read, zeros, p, 1));
	}
}

/* Copies the words to memory that the debugger can read: the page of the string itself may not be present yet. */
static void touch(const char *what, char *p, const char *accesses)
{
	static char words[128];

	for (; *accesses; accesses++) {
		snprintf(words, sizeof(words), "%s: %c", what, *accesses);
		if (nr_accesses++ % announced == 0)
			about_to(words, p, *accesses);
		has_done(access_page(p, *accesses));
	}
}

static char *map(size_t nr, int prot, int flags, int fd)
{
	char *p = mmap(NULL, nr * PAGE, prot, flags, fd, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* Returns many pages that have an anon_vma and a page table. */
static char *fresh_pages(void)
{
	char *p = (char *)(((uintptr_t)map_island(1024, RW) + TABLE - 1) & -TABLE);

	poke(p, 'a');
	return p;
}

/* --- private memory --------------------------------------------------------------------------------------------- */

static void private_memory(void)
{
	char *p = map_island(4, RW);

	touch("nothing there, no anon_vma", p, "rw");
	touch("nothing there, no anon_vma", map_island(4, RW), "wrx");
	p = fresh_pages();
	touch("nothing there", p + PAGE, "rwW");
	touch("nothing there, for the kernel", p + 2 * PAGE, "RW");
	MUST(madvise(p, PAGE, MADV_DONTNEED) == 0);
	touch("given up", p, "w");
	MUST(mprotect(p, PAGE, PROT_READ) == 0);
	touch("read-only", p, "rwW");
	MUST(mprotect(p, PAGE, PROT_NONE) == 0);
	touch("without access", p, "rwxRW");
	MUST(mprotect(p, PAGE, RW) == 0);
	touch("writable again", p, "w");
	MUST(mlock(p + 8 * PAGE, 2 * PAGE) == 0);
	touch("locked", p + 8 * PAGE, "rw");
	MUST(madvise(p + PAGE, PAGE, MADV_FREE) == 0);
	touch("lazily freed", p + PAGE, "rw");
	MUST(mremap(p, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x30000000000) != MAP_FAILED);
	touch("moved away", p, "r");
	touch("moved here", (char *)0x30000000000, "wr");
	touch("moved here, never touched", (char *)0x30000003000, "w");
}

static int writing_child(void *p)
{
	touch("of parent and child, in the child", p, "rw");
	return 0;
}

static void after_fork(void)
{
	char *p = fresh_pages();
	pid_t pid;

	MUST(mlock(p + PAGE, PAGE) == 0);
	MUST(run_child(writing_child, p) == 0);
	touch("of a child that is gone", p, "rw");
	pid = fork();
	MUST(pid >= 0);
	while (pid == 0)
		pause();
	touch("of parent and child", p, "w");
	touch("locked, of parent and child", p + PAGE, "w");
	MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void stacks(void)
{
	char *p = mmap((char *)0x20000000000, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1,
		       0);

	MUST(p != MAP_FAILED);
	touch("in a stack", p, "w");
	touch("below a stack", p - PAGE, "w");
	touch("far below a stack", p - 5 * PAGE, "r");
	touch("below a stack, for the kernel", p - 6 * PAGE, "W");
	touch("below a stack, beyond the limit", p - 3000 * PAGE, "w");
	MUST(mmap(p - 400 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	touch("below a stack, too near to what is below", p - 200 * PAGE, "w");
	touch("below a stack, far from what is below", p - 100 * PAGE, "w");
}

static void nowhere(void)
{
	touch("the null page", NULL, "rw");
	touch("nowhere", (char *)0x10000000000, "rwxW");
	touch("the kernel's", (char *)0xffffffff80000000, "rw");
	touch("not canonical", (char *)0x800000000000, "rw");
	touch("the last page", (char *)0x7ffffffff000, "rW");
}

/* --- swap ------------------------------------------------------------------------------------------------------- */

static int swapping_child(void *arg)
{
	char *p = arg;

	touch("swapped out, of parent and child", p, "wr");
	touch("swapped out, of parent and child", p + PAGE, "rw");
	return 0;
}

static void set_swap(const char *latency, const char *mode)
{
	MUST(write_text(SWAP "latency_us", latency) > 0 && write_text(SWAP "mode", mode) > 0);
}

static void swapped_out(void)
{
	char *p = fresh_pages();

	memset(p, 'x', 16 * PAGE);
	MUST(madvise(p, 16 * PAGE, MADV_PAGEOUT) == 0);
	touch("swapped out", p, "rw");
	touch("swapped out", p + PAGE, "w");
	touch("swapped out, for the kernel", p + 2 * PAGE, "W");
	MUST(run_child(swapping_child, p + 4 * PAGE) == 0);
	touch("in the swap cache", p + 4 * PAGE, "rw");
	touch("in the swap cache", p + 5 * PAGE, "w");
	set_swap("500", "async");
	touch("on a slow disk", p + 8 * PAGE, "rw");
	touch("read ahead", p + 9 * PAGE, "w");
	touch("on a slow disk, for the kernel", p + 15 * PAGE, "W");
	set_swap("0", "sync");
}

static void shared_memory(void)
{
	char *p = map(16, RW, MAP_SHARED | MAP_ANONYMOUS, -1);

	touch("shared, nothing there", p, "rw");
	touch("shared, nothing there", p + PAGE, "wr");
	memset(p, 'z', 8 * PAGE);
	MUST(madvise(p, 8 * PAGE, MADV_PAGEOUT) == 0);
	touch("shared, swapped out", p, "rw");
	touch("shared, swapped out", p + PAGE, "wr");
	MUST(madvise(p, 8 * PAGE, MADV_DONTNEED) == 0);
	touch("shared, unmapped", p, "r");
	touch("shared, swapped out, its neighbours mapped", p + 3 * PAGE, "r");
	MUST(mprotect(p, 4 * PAGE, PROT_READ) == 0);
	touch("shared, read-only", p, "rw");
}

/* --- files ------------------------------------------------------------------------------------------------------ */

/* Makes a file of 8 pages of data and a hole of 12 pages. */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	MUST(fd >= 0 && ftruncate(fd, 20 * PAGE) == 0);
	for (int i = 0; i < 8; i++)
		MUST(pwrite(fd, "data", 4, i * PAGE) == 4);
	return fd;
}

static void private_file(int fd)
{
	char *p = map(24, RW, MAP_PRIVATE, fd);

	touch("file, private", p, "rw");
	touch("file, private, around", p + 3 * PAGE, "rwW");
	touch("file, private", p + 5 * PAGE, "w");
	touch("file, private, a hole", p + 12 * PAGE, "rw");
	touch("file, private, a hole", p + 13 * PAGE, "w");
	touch("file, private, beyond the end", p + 21 * PAGE, "rwW");
	MUST(munmap(p, 24 * PAGE) == 0);
}

static void shared_file(int fd)
{
	char *p = map(24, RW, MAP_SHARED, fd);

	touch("file, shared", p + PAGE, "w");
	touch("file, shared, one neighbour mapped", p + 2 * PAGE, "rw");
	touch("file, shared, a hole", p + 14 * PAGE, "wr");
	MUST(msync(p, 20 * PAGE, MS_SYNC) == 0);
	touch("file, shared, written back", p + PAGE, "w");
	touch("file, shared, beyond the end", p + 22 * PAGE, "rwR");
	MUST(ftruncate(fd, 2 * PAGE + 100) == 0);
	touch("file, shared, truncated", p + 4 * PAGE, "r");
	touch("file, shared, its last page", p + 2 * PAGE, "rw");
	MUST(munmap(p, 24 * PAGE) == 0);
}

/* Pages that fallocate has allocated are not mapped before they have been used. */
static void allocated_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char *p;

	MUST(fd >= 0 && fallocate(fd, 0, 0, 4 * PAGE) == 0);
	p = map(4, RW, MAP_SHARED, fd);
	touch("allocated", p, "r");
	touch("allocated", p + PAGE, "w");
	touch("allocated, its neighbours mapped", p + 2 * PAGE, "r");
	close(fd);
}

static void files(const char *path)
{
	int fd = make_file(path);

	private_file(fd);
	shared_file(fd);
	close(fd);
	allocated_file(path);
}

/* Dirties more than DIRTY pages, so that a writer must wait for the flusher. */
static void dirty_pages(const char *path)
{
	int fd = make_file(path);
	char *p = map(20, RW, MAP_SHARED, fd);

	MUST(fsync(fd) == 0);
	for (int i = 0; i < 20; i++)
		peek(p + i * PAGE);
	for (int i = 0; i < 20; i++)
		touch("file, shared, one more dirty page", p + i * PAGE, "w");
	close(fd);
}

/* No pass of the flusher is due by the clock: it would change what `why` has looked at, before the access. */
static void files_on_a_disk(void)
{
	char options[32];

	MUST(write_text("/proc/sys/vm/dirty_writeback_centisecs", "0") > 0);
	snprintf(options, sizeof(options), "format,dirty=%d", DIRTY);
	MUST(mkdir("/disk", 0700) == 0 && mount(FILES, "/disk", "faultfs", 0, options) == 0);
	files("/disk/a");
	dirty_pages("/disk/b");
	MUST(write_text("/sys/block/ram0/latency_us", "300") > 0 && write_text("/sys/block/ram0/mode", "async") > 0);
	files("/disk/c");
}

static void *wait_here(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* The second thread makes the kernel try speculation. */
int main(int argc, char **argv)
{
	pthread_t thread;

	MUST(argc == 3 && set_policy((enum policy)atoi(argv[1])) && (announced = (unsigned)atoi(argv[2])) > 0);
	MUST((zeros = open("/dev/zero", O_RDONLY)) >= 0 && (sink = open("/memory", O_RDWR | O_CREAT, 0600)) >= 0);
	MUST(pthread_create(&thread, NULL, wait_here, NULL) == 0);
	catch_faults(0);
	private_memory();
	after_fork();
	stacks();
	nowhere();
	swapped_out();
	shared_memory();
	files("/tmp/file");
	files_on_a_disk();
	return 0;
}
