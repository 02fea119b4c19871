/* SPDX-License-Identifier: MIT */
/*
 * Tests that /proc/meminfo has Linux's rows in Linux's order, and that their figures are true.
 *
 * Each use of memory must change the right rows by the right amount. Needs a machine with --disk 1M, on which no other
 * program uses memory.
 */
#include "user/lib/check.h"
#include "user/lib/text.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define NR 40
#define KIB (NR * 4)

static char text[16384];

static void slurp(const char *path)
{
	MUST(read_text(path, text, sizeof(text)) >= 0);
}

static void set(const char *path, const char *value)
{
	MUST(write_text(path, value) == (ssize_t)strlen(value));
}

/* Returns the figure of a row in the text, whose name is followed by `separator`, or -1 if there is no such row. */
static long figure_of(const char *name, char separator)
{
	size_t len = strlen(name);

	for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, name, len) && line[len] == separator)
			return atol(line + len + 1);
	return -1;
}

static long meminfo(const char *name)
{
	slurp("/proc/meminfo");
	return figure_of(name, ':');
}

static long vmstat(const char *name)
{
	slurp("/proc/vmstat");
	return figure_of(name, ' ');
}

/* The rows that every Linux kernel of the 6.x series has, in its order. */
static const char *const rows[] = {
	"MemTotal",	   "MemFree",	     "MemAvailable",   "Buffers",	 "Cached",	  "SwapCached",
	"Active",	   "Inactive",	     "Active(anon)",   "Inactive(anon)", "Active(file)",  "Inactive(file)",
	"Unevictable",	   "Mlocked",	     "SwapTotal",      "SwapFree",	 "Dirty",	  "Writeback",
	"AnonPages",	   "Mapped",	     "Shmem",	       "KReclaimable",	 "Slab",	  "SReclaimable",
	"SUnreclaim",	   "KernelStack",    "PageTables",     "SecPageTables",	 "NFS_Unstable",  "Bounce",
	"WritebackTmp",	   "CommitLimit",    "Committed_AS",   "VmallocTotal",	 "VmallocUsed",	  "VmallocChunk",
	"Percpu",	   "AnonHugePages",  "ShmemHugePages", "ShmemPmdMapped", "FileHugePages", "FilePmdMapped",
	"HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp", "Hugepagesize",  "Hugetlb",
};

static void forms(void)
{
	char *line = text;

	section("rows");
	slurp("/proc/meminfo");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i]);
		char *end = strchr(line, '\n');

		CHECK_THAT(rows[i],
			   end && !strncmp(line, rows[i], len) && line[len] == ':' &&
				   (strncmp(rows[i], "HugePages", 9) ? end - line >= 27 && !memcmp(end - 3, " kB", 3)
								     : end - line == 24));
		line = end ? end + 1 : line;
	}
	CHECK(*line == 0);
}

/* The watched rows, and their figures before the change. */
static long before[8];
static const char *watched[8];

static void watch(const char *const names[])
{
	for (unsigned i = 0; i < 8; i++)
		watched[i] = NULL;
	for (unsigned i = 0; names[i]; i++) {
		watched[i] = names[i];
		before[i] = meminfo(names[i]);
	}
}

static void expect_change(long kib)
{
	for (unsigned i = 0; i < 8 && watched[i]; i++) {
		if (meminfo(watched[i]) - before[i] != kib)
			printf("%s: %ld, before %ld\n", watched[i], meminfo(watched[i]), before[i]);
		CHECK_THAT(watched[i], meminfo(watched[i]) - before[i] == kib);
	}
}

static void anonymous(void)
{
	char *p = map_pages(NR, PROT_READ | PROT_WRITE);

	section("anonymous memory");
	watch((const char *const[]){ "AnonPages", "Inactive(anon)", NULL });
	memset(p, 1, NR * PAGE);
	expect_change(KIB);
	MUST(!munmap(p, NR * PAGE));
	expect_change(0);
}

static void shared(void)
{
	struct sysinfo info;
	char *p;

	section("shared memory");
	watch((const char *const[]){ "Shmem", "Cached", "Mapped", "Inactive(anon)", NULL });
	p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, NR * PAGE);
	expect_change(KIB);
	CHECK(!sysinfo(&info) && (long)info.sharedram / 1024 == meminfo("Shmem"));
	CHECK_EQ(vmstat("nr_shmem") * 4, meminfo("Shmem"));
	CHECK_EQ(vmstat("nr_mapped") * 4, meminfo("Mapped"));
	watch((const char *const[]){ "Mapped", NULL });
	MUST(!madvise(p, NR * PAGE, MADV_DONTNEED));
	expect_change(-KIB);
	MUST(!munmap(p, NR * PAGE));
}

/* Two processes lock the same pages, which count once. */
static int lock_too(void *memory)
{
	unsigned failed = checks_failed;

	if (mlock(memory, NR * PAGE))
		return 1;
	expect_change(KIB);
	return checks_failed != failed;
}

static void locked(void)
{
	char *p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	section("locked memory");
	watch((const char *const[]){ "Mlocked", "Unevictable", NULL });
	MUST(!mlock(p, NR * PAGE));
	expect_change(KIB);
	CHECK_EQ(vmstat("nr_mlock") * 4, meminfo("Mlocked"));
	CHECK_EQ(vmstat("nr_unevictable") * 4, meminfo("Unevictable"));
	CHECK(exited_with(run_child(lock_too, p), 0));
	expect_change(KIB);
	MUST(!munlock(p, NR * PAGE / 2));
	expect_change(KIB / 2);
	MUST(!munmap(p, NR * PAGE));
	expect_change(0);
}

static long zone(const char *name)
{
	char *at = text;

	for (; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
		at += strspn(at, " ");
		if (!strncmp(at, name, strlen(name)) && at[strlen(name)] == ' ')
			return atol(at + strlen(name) + 1);
	}
	return -1;
}

/*
 * Checks the watermarks of the one zone, and the available memory, which is what they leave of the free and the easily
 * reclaimed memory.
 */
static void available(void)
{
	long total = meminfo("MemTotal") / 4, lowest, low, high, file;

	section("available memory");
	slurp("/proc/zoneinfo");
	lowest = zone("min");
	low = zone("low");
	high = zone("high");
	CHECK(0 < lowest && lowest < low && high - low == low - lowest && zone("promo") - high == low - lowest);
	CHECK(zone("pages free") > high && zone("pages free") == zone("nr_free_pages"));
	CHECK(zone("pages free") < zone("managed") && zone("managed") < zone("present") &&
	      zone("present") <= zone("spanned"));
	CHECK(zone("nr_zone_inactive_file") == zone("nr_inactive_file") && zone("nr_inactive_file") >= NR);
	CHECK(zone("nr_zone_write_pending") == zone("nr_dirty") + zone("nr_writeback") && zone("nr_dirty") >= NR);
	CHECK_EQ(zone("managed"), total);
	slurp("/proc/meminfo");
	file = (figure_of("Active(file)", ':') + figure_of("Inactive(file)", ':')) / 4;
	CHECK_EQ(figure_of("MemAvailable", ':') / 4,
		 figure_of("MemFree", ':') / 4 - high + file - (file / 2 < low ? file / 2 : low));
}

/* The dirty pages include a few of the disk's own blocks. */
static void dirty(void)
{
	static char page[PAGE];
	long now;
	int fd;

	section("dirty pages");
	MUST(!mkdir("/disk", 0755) && !mount("/dev/ram0", "/disk", "faultfs", 0, "format"));
	fd = open("/disk/file", O_RDWR | O_CREAT, 0600);
	MUST(fd >= 0 && write(fd, "x", 1) == 1 && !fsync(fd));
	sync();
	CHECK_EQ(meminfo("Dirty"), 0);
	CHECK_EQ(meminfo("Writeback"), 0);
	watch((const char *const[]){ "Inactive(file)", NULL });
	set("/proc/sys/vm/dirty_writeback_centisecs", "0"); /* only sync() writes back */
	for (unsigned i = 0; i < NR; i++)
		MUST(pwrite(fd, page, PAGE, (off_t)((i + 1) * PAGE)) == (ssize_t)PAGE);
	now = meminfo("Dirty");
	CHECK(now >= KIB && now <= KIB + 64);
	CHECK_EQ(vmstat("nr_dirty") * 4, now);
	CHECK(meminfo("Inactive(file)") - before[0] >= KIB);
	available();
	section("clean pages");
	sync();
	set("/proc/sys/vm/dirty_writeback_centisecs", "100");
	CHECK_EQ(meminfo("Dirty"), 0);
	CHECK_EQ(meminfo("Writeback"), 0);
	CHECK(!close(fd) && !umount("/disk"));
	CHECK(meminfo("Inactive(file)") < before[0]);
}

int main(void)
{
	forms();
	anonymous();
	shared();
	locked();
	dirty();
	return check_done();
}
