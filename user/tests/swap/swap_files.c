/* SPDX-License-Identifier: MIT */
/*
 * Tests swap files, and what swapon and swapoff refuse. Needs two disks: a free one, on which a faultfs is made, and
 * one that is a swap area. The expected results are those of Linux 6.18 on ext4 and tmpfs, and of its manual pages.
 */
#include "user/lib/check.h"
#include "user/lib/faultline.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>

#define NR 64UL
#define DIRECTORY "/tmp/disk"
#define FILE_PAGES 512UL
#define MANY 40

static char name[64];

static const char *path_of(int number)
{
	snprintf(name, sizeof(name), DIRECTORY "/swap%d", number);
	return name;
}

/* Writes a header as mkswap(8) does. */
static void write_header(int fd, uint32_t last_page)
{
	char page[PAGE] = { 0 };

	memcpy(page + 1024, &(uint32_t){ 1 }, 4);
	memcpy(page + 1028, &last_page, 4);
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	MUST(pwrite(fd, page, PAGE, 0) == (ssize_t)PAGE);
}

static int make_file(const char *path, size_t nr)
{
	static char zeros[64 * PAGE];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	MUST(fd >= 0);
	for (size_t page = 0; page < nr; page += 64)
		MUST(write(fd, zeros, (nr - page < 64 ? nr - page : 64) * PAGE) > 0);
	write_header(fd, (uint32_t)nr - 1);
	return fd;
}

static bool swaps_say(const char *text)
{
	static char all[8192];

	return read_text("/proc/swaps", all, sizeof(all)) > 0 && strstr(all, text);
}

static void goes_out_and_in(void)
{
	int fd = make_file(path_of(0), FILE_PAGES);
	char *p = map_pages(NR, PROT_READ | PROT_WRITE), *q, line[128];

	section("a swap file");
	CHECK_EQ(swapon(name, SWAP_FLAG_PREFER | 100), 0);
	snprintf(line, sizeof(line), "%-40sfile\t\t%lu\t\t0\t\t100\n", name, (FILE_PAGES - 1) * 4);
	CHECK_THAT("/proc/swaps lists it", swaps_say(line));
	fill_pages(p, NR, 1);
	CHECK_EQ(madvise(p, NR * PAGE, 21 /* MADV_PAGEOUT */), 0);
	snprintf(line, sizeof(line), "file\t\t%lu\t\t%lu\t\t100\n", (FILE_PAGES - 1) * 4, NR * 4);
	CHECK_THAT("/proc/swaps counts the swapped-out pages", swaps_say(line));
	CHECK_ERRNO(swapon(path_of(0), 0), EBUSY);
	CHECK_ERRNO(pwrite(fd, "x", 1, 0), ETXTBSY);
	CHECK_ERRNO(ftruncate(fd, 0), ETXTBSY);
	CHECK_ERRNO(open(path_of(0), O_RDWR | O_TRUNC), ETXTBSY);
	CHECK_ERRNO(fallocate(fd, 0, 0, PAGE), ETXTBSY);
	CHECK_ERRNO(unlink(path_of(0)), EPERM);
	CHECK_ERRNO(umount(DIRECTORY), EBUSY);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	MUST(q != MAP_FAILED);
	CHECK_EQ(CATCH(poke(q, 1)), SIGBUS);
	munmap(q, PAGE);
	sync(); /* no write to the file may still be in progress */
	CHECK_THAT("what is read is what was written", pages_hold(p, NR, 1));
	fill_pages(p, NR, 2);
	CHECK_EQ(madvise(p, NR * PAGE, 21), 0);
	CHECK_EQ(swapoff(path_of(0)), 0);
	CHECK_THAT("swapoff has brought it back", pages_hold(p, NR, 2) && !swaps_say("file"));
	CHECK_ERRNO(swapoff(path_of(0)), EINVAL);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_EQ(unlink(path_of(0)), 0);
	close(fd);
	munmap(p, NR * PAGE);
}

static void must_be_whole(void)
{
	int fd = open(path_of(0), O_RDWR | O_CREAT, 0600);

	section("files that are no swap files");
	CHECK_ERRNO(swapon(path_of(0), 0), EINVAL); /* empty */
	MUST(ftruncate(fd, FILE_PAGES * PAGE) == 0);
	CHECK_ERRNO(swapon(path_of(0), 0), EINVAL); /* nothing but a hole */
	write_header(fd, FILE_PAGES - 1);
	CHECK_ERRNO(swapon(path_of(0), 0), EINVAL); /* has holes */
	MUST(fallocate(fd, 0, 0, FILE_PAGES * PAGE) == 0);
	CHECK_EQ(swapon(path_of(0), 0), 0);
	CHECK_EQ(swapoff(path_of(0)), 0);
	write_header(fd, FILE_PAGES);
	CHECK_ERRNO(swapon(path_of(0), 0), EINVAL); /* the header gives more pages than the file has */
	MUST(pwrite(fd, "xxxxx", 5, PAGE - 5) == 5);
	CHECK_ERRNO(swapon(path_of(0), 0), EINVAL); /* no signature */
	close(fd);
	unlink(path_of(0));
	close(make_file("/tmp/swap", 16));
	CHECK_ERRNO(swapon("/tmp/swap", 0), EINVAL); /* a file in memory */
	CHECK_ERRNO(swapoff("/tmp/swap"), EINVAL);
	unlink("/tmp/swap");
}

static int ask_unprivileged(void *arg)
{
	(void)arg;
	MUST(setuid(1000) == 0);
	CHECK_ERRNO(swapon("/dev/ram0", 0), EPERM);
	CHECK_ERRNO(swapon("/nowhere", 0), EPERM);
	CHECK_ERRNO(swapon("/nowhere", 0x100000), EINVAL);
	CHECK_ERRNO(swapoff("/dev/ram1"), EPERM);
	return checks_failed != 0;
}

static void refused(void)
{
	section("what is refused");
	CHECK_ERRNO(swapon("/nowhere", 0), ENOENT);
	CHECK_ERRNO(swapoff("/nowhere"), ENOENT);
	CHECK_ERRNO(swapon("", 0), ENOENT);
	CHECK_ERRNO(swapon((const char *)8, 0), EFAULT);
	CHECK_ERRNO(swapon("/tmp", 0), EISDIR);
	CHECK_ERRNO(swapoff("/tmp"), EISDIR);
	CHECK_ERRNO(swapon("/dev/null", 0), EINVAL);
	CHECK_ERRNO(swapoff("/dev/null"), EINVAL);
	CHECK_ERRNO(swapon("/nowhere", 0x100000), EINVAL);
	CHECK_ERRNO(swapon("/dev/ram1", 0), EBUSY);
	CHECK_ERRNO(swapon("/dev/ram0", 0), EBUSY); /* it is mounted */
	CHECK_ERRNO(swapoff("/dev/ram0"), EINVAL);
	CHECK_EQ(run_child(ask_unprivileged, NULL), 0);
}

/* The number of areas is limited. Each new area without a priority goes below the others. */
static void many(void)
{
	int nr = 0, wrong = 0;
	char line[128];

	section("as many as there may be");
	for (int i = 0; i < MANY; i++)
		close(make_file(path_of(i), 10));
	while (nr < MANY && swapon(path_of(nr), 0) == 0)
		nr++;
	CHECK(nr >= 20 && nr < MANY && errno == EPERM);
	CHECK_ERRNO(swapon("/nowhere", 0), EPERM);
	for (int i = 1; i < nr; i++) {
		snprintf(line, sizeof(line), "%-40sfile\t\t36\t\t0\t\t-", path_of(i));
		wrong += !swaps_say(line);
	}
	CHECK_EQ(wrong, 0);
	for (int i = 0; i < nr; i++)
		wrong += swapoff(path_of(i)) != 0;
	CHECK_EQ(wrong, 0);
	CHECK_EQ(swapon(path_of(0), 0), 0);
}

int main(void)
{
	catch_faults(0);
	MUST(write_text("/proc/sys/vm/dirty_writeback_centisecs", "0") > 0); /* no periodic writeback */
	MUST(mkdir(DIRECTORY, 0700) == 0);
	MUST(mount("/dev/ram0", DIRECTORY, "faultfs", 0, "format") == 0);
	goes_out_and_in();
	must_be_whole();
	refused();
	many(); /* one file stays in use: the machine must shut down all the same */
	return check_done();
}
