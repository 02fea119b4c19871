/* SPDX-License-Identifier: MIT */
/*
 * Tests what the kernel reports about memory in swap, and how other processes access it: /proc/PID/pagemap, smaps,
 * smaps_rollup and status for private memory, memory shared with a child by fork, shared memory and memfds;
 * process_vm_readv and process_vm_writev, and /proc/PID/cmdline; the delay field of /proc/PID/stat. Needs 4 MiB of swap
 * on /dev/ram0 and no other program that swaps. The expected results are those of Linux's
 * Documentation/admin-guide/mm/pagemap.rst and Documentation/filesystems/proc.rst.
 */
#include "user/lib/await.h"
#include "user/lib/disk_settings.h"
#include "user/lib/faultline.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#define NR 64UL
#define SIZE (NR * PAGE)
#define MADV_PAGEOUT_ 21

#define PM_EXCLUSIVE (1UL << 56)
#define PM_FILE (1UL << 61)
#define PM_SWAP (1UL << 62)
#define PM_PRESENT (1UL << 63)
#define PM_KINDS (PM_EXCLUSIVE | PM_FILE | PM_SWAP | PM_PRESENT)
#define PM_FRAME ((1UL << 55) - 1)
#define SWAP_TYPE(entry) ((entry)&31)
#define SWAP_OFFSET(entry) (((entry)&PM_FRAME) >> 5)

/* --- looking ---------------------------------------------------------------------------------------------------- */

static uint64_t pagemap_of(pid_t pid, const void *p)
{
	char path[64];
	uint64_t entry;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	MUST(fd >= 0);
	MUST(pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * 8)) == sizeof(entry));
	close(fd);
	return entry;
}

static uint64_t pagemap(const void *p)
{
	return pagemap_of(getpid(), p);
}

/* Returns the number of pages of p whose entry is of that kind. */
static long nr_of_kind(const char *p, uint64_t kind)
{
	long nr = 0;

	for (size_t i = 0; i < NR; i++)
		nr += (pagemap(p + i * PAGE) & PM_KINDS) == kind;
	return nr;
}

/* Returns a row of a file, in pages, after the line that begins with `from` (NULL: any row), or -1 if there is none. */
static long row(const char *path, const char *from, const char *name)
{
	FILE *file = fopen(path, "r");
	bool found = !from;
	long kib = -1;
	char line[300];

	MUST(file);
	while (kib < 0 && fgets(line, sizeof(line), file)) {
		if (found && strncmp(line, name, strlen(name)) == 0)
			kib = atol(line + strlen(name));
		else if (!found)
			found = strncmp(line, from, strlen(from)) == 0;
	}
	fclose(file);
	return kib < 0 ? kib : kib / 4;
}

static long smaps(const void *p, const char *name)
{
	char from[32];

	snprintf(from, sizeof(from), "%08lx-", (uintptr_t)p);
	return row("/proc/self/smaps", from, name);
}

static long rollup(const char *name)
{
	return row("/proc/self/smaps_rollup", NULL, name);
}

static long vm_swap(void)
{
	return row("/proc/self/status", NULL, "VmSwap:");
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

static void page_out(void *p, size_t size)
{
	MUST(madvise(p, size, MADV_PAGEOUT_) == 0);
}

static char *map(int flags, int fd)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* Uses an island, which smaps does not show merged with a neighbour. */
static char *private_memory(void)
{
	char *p = map_island(NR, PROT_READ | PROT_WRITE);

	fill_pages(p, NR, 1);
	page_out(p, SIZE);
	return p;
}

/* --- what is reported -------------------------------------------------------------------------------------------- */

static void told_of_private_memory(void)
{
	char *p = private_memory();

	section("private memory");
	CHECK_EQ(nr_of_kind(p, PM_SWAP), NR);
	CHECK(SWAP_TYPE(pagemap(p)) == 0 && SWAP_OFFSET(pagemap(p)) > 0); /* slot 0 is the header */
	CHECK(SWAP_OFFSET(pagemap(p)) != SWAP_OFFSET(pagemap(p + PAGE)));
	CHECK_EQ(vm_swap(), NR);
	CHECK_EQ(smaps(p, "Rss:"), 0);
	CHECK_EQ(smaps(p, "Swap:"), NR);
	CHECK_EQ(smaps(p, "SwapPss:"), NR);
	CHECK_EQ(rollup("Swap:"), NR);
	CHECK_EQ(rollup("SwapPss:"), NR);
	CHECK(pages_hold(p, NR, 1));
	CHECK_EQ(nr_of_kind(p, PM_PRESENT | PM_EXCLUSIVE), NR);
	CHECK(vm_swap() == 0 && smaps(p, "Swap:") == 0 && smaps(p, "Rss:") == (long)NR);
	munmap(p, SIZE);
}

/* Starts a child that waits until *to_end is closed. */
static pid_t start_waiting(int *to_end, void (*first)(void *), void *arg)
{
	int lock[2];
	char byte;
	pid_t pid;

	MUST(pipe(lock) == 0);
	pid = fork_until_ready();
	if (pid == 0) {
		close(lock[1]);
		if (first)
			first(arg);
		say_ready();
		MUST(read(lock[0], &byte, 1) == 0);
		_exit(0);
	}
	close(lock[0]);
	*to_end = lock[1];
	return pid;
}

static void end_waiting(pid_t pid, int to_end)
{
	int status;

	close(to_end);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

static void told_of_forked_memory(void)
{
	char *p = private_memory();
	int to_end;
	pid_t pid = start_waiting(&to_end, NULL, NULL);

	section("memory that a child has, too");
	CHECK_EQ(nr_of_kind(p, PM_SWAP), NR);
	CHECK(pagemap_of(pid, p) == pagemap(p));
	CHECK_EQ(vm_swap(), NR);
	CHECK_EQ(smaps(p, "Swap:"), NR);
	CHECK_EQ(smaps(p, "SwapPss:"), NR / 2);
	end_waiting(pid, to_end);
	CHECK_EQ(smaps(p, "SwapPss:"), NR);
	CHECK(pages_hold(p, NR, 1));
	munmap(p, SIZE);
}

/*
 * "Page table entries for shared pages are cleared when the pages are zapped or swapped out." VmSwap and SwapPss omit
 * shared memory.
 */
static void told_of_shared_memory(const char *name, int fd)
{
	char *p = map(MAP_SHARED, fd);

	section(name);
	fill_pages(p, NR, 2);
	CHECK_EQ(nr_of_kind(p, PM_PRESENT | PM_FILE | PM_EXCLUSIVE), NR);
	page_out(p, SIZE);
	CHECK_EQ(nr_of_kind(p, 0), NR);
	CHECK_EQ(vm_swap(), 0);
	CHECK_EQ(smaps(p, "Rss:"), 0);
	CHECK_EQ(smaps(p, "Swap:"), NR);
	CHECK_EQ(smaps(p, "SwapPss:"), 0);
	CHECK_EQ(rollup("Swap:"), NR);
	CHECK(pages_hold(p, NR, 2));
	CHECK_EQ(nr_of_kind(p, PM_PRESENT | PM_FILE | PM_EXCLUSIVE), NR);
	CHECK(smaps(p, "Swap:") == 0 && smaps(p, "Rss:") == (long)NR);
	munmap(p, SIZE);
}

/* Half of the pages are copies, which are swapped out like private memory; the other half belong to the file. */
static void told_of_private_copies(int fd)
{
	char *p = map(MAP_PRIVATE, fd), *q = map(MAP_SHARED, fd);

	section("private copies of a memfd's pages");
	fill_pages(q, NR, 2);
	page_out(q, SIZE);
	memset(p, 3, SIZE / 2);
	page_out(p, SIZE / 2);
	page_out(q, SIZE); /* making the copies has swapped the originals in */
	CHECK_EQ(nr_of_kind(p, PM_SWAP), NR / 2);
	CHECK_EQ(vm_swap(), NR / 2);
	CHECK_EQ(smaps(p, "Swap:"), NR);
	CHECK_EQ(smaps(p, "SwapPss:"), NR / 2);
	CHECK(p[0] == 3 && p[SIZE / 2 - 1] == 3 && p[SIZE / 2] == (char)(2 + NR / 2));
	CHECK_EQ(nr_of_kind(p, PM_PRESENT | PM_EXCLUSIVE), 1 + 1);
	CHECK(pages_hold(q, NR, 2));
	munmap(p, SIZE), munmap(q, SIZE);
}

static int look_without_privilege(void *p)
{
	uint64_t entry;

	MUST(prctl(PR_SET_DUMPABLE, 0) == 0 && setuid(1000) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	entry = pagemap(p);
	return !((entry & PM_KINDS) == PM_SWAP && !(entry & PM_FRAME));
}

static void told_to_the_unprivileged(void)
{
	char *p = private_memory();

	section("without privileges");
	CHECK_THAT("pagemap shows that a page is in swap, and not where",
		   exited_with(run_child(look_without_privilege, p), 0));
	munmap(p, SIZE);
}

/* --- access by other processes ----------------------------------------------------------------------------------- */

static void fill_and_page_out(void *p)
{
	fill_pages(p, NR, 4);
	page_out(p, SIZE);
}

static void reached_by_others(void)
{
	static char copy[SIZE];
	char *p = map_island(NR, PROT_READ | PROT_WRITE);
	struct iovec local = { copy, SIZE }, remote = { p, SIZE };
	int to_end;
	pid_t pid = start_waiting(&to_end, fill_and_page_out, p);

	section("another process's memory");
	CHECK((pagemap_of(pid, p) & PM_KINDS) == PM_SWAP);
	CHECK_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), SIZE);
	CHECK(pages_hold(copy, NR, 4));
	CHECK((pagemap_of(pid, p) & (PM_PRESENT | PM_SWAP)) == PM_PRESENT);
	end_waiting(pid, to_end);

	pid = start_waiting(&to_end, fill_and_page_out, p);
	fill_pages(copy, NR, 5);
	local.iov_len = remote.iov_len = SIZE / 2;
	CHECK_EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), SIZE / 2);
	local.iov_len = remote.iov_len = SIZE;
	CHECK_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), SIZE);
	CHECK(copy[0] == 5 && copy[SIZE / 2 - PAGE] == (char)(5 + NR / 2 - 1));
	CHECK(copy[SIZE / 2] == (char)(4 + NR / 2) && copy[SIZE - PAGE] == (char)(4 + NR - 1));
	CHECK_THAT("the process's own page is unchanged", p[0] == 0);
	end_waiting(pid, to_end);
	munmap(p, SIZE);
}

/* The write gives the child a page of its own. */
static void page_out_argument(void *name)
{
	*(volatile char *)name = *(volatile char *)name;
	page_out((void *)((uintptr_t)name & -PAGE), PAGE);
}

static void arguments_are_read(char *name)
{
	char ours[100], theirs[100], path[64];
	ssize_t n, m;
	int to_end, fd;
	pid_t pid = start_waiting(&to_end, page_out_argument, name);

	section("another process's arguments");
	CHECK((pagemap_of(pid, name) & PM_KINDS) == PM_SWAP);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY);
	m = read(fd, theirs, sizeof(theirs));
	close(fd);
	fd = open("/proc/self/cmdline", O_RDONLY);
	n = read(fd, ours, sizeof(ours));
	close(fd);
	CHECK(n > 0 && m == n && memcmp(ours, theirs, (size_t)n) == 0);
	end_waiting(pid, to_end);
}

/* --- delays ------------------------------------------------------------------------------------------------------- */

/* Returns field 42 of /proc/self/stat, in hundredths of a second. Field 3 is the first one after the name. */
static long io_delay(void)
{
	FILE *file = fopen("/proc/self/stat", "r");
	char line[1000], *at;

	MUST(file && fgets(line, sizeof(line), file));
	fclose(file);
	at = strrchr(line, ')');
	for (int field = 2; at && field < 42; field++)
		at = strchr(at + 1, ' ');
	MUST(at);
	return atol(at);
}

/* Synchronous reads count no delay. A wait counts from when it begins, so on a busy machine some waits are short. */
static void waiting_is_told(void)
{
	char *p;
	long before;

	section("time that was waited for a disk");
	MUST(set_disk("mode", "sync") && write_text("/proc/sys/vm/page-cluster", "0") > 0);
	p = private_memory();
	before = io_delay();
	CHECK(pages_hold(p, NR, 1));
	CHECK_EQ(io_delay(), before);
	fill_pages(p, NR, 1);
	page_out(p, SIZE);
	MUST(set_disk("latency_us", "5000") && set_disk("mode", "async"));
	CHECK(pages_hold(p, NR, 1));
	CHECK(io_delay() > before);
	munmap(p, SIZE);
}

int main(int argc, char **argv)
{
	char room[64 * 1024]; /* keeps what is used later off the page of the arguments */
	int fd = memfd_create("swap", 0);

	(void)argc;
	__asm__ volatile("" : : "r"(room) : "memory");
	MUST(fd >= 0 && ftruncate(fd, SIZE) == 0);
	told_of_private_memory();
	told_of_forked_memory();
	told_of_shared_memory("shared memory", -1);
	told_of_shared_memory("a memfd", fd);
	told_of_private_copies(fd);
	told_to_the_unprivileged();
	reached_by_others();
	arguments_are_read(argv[0]);
	waiting_is_told();
	return check_done();
}
