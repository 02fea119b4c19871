/* SPDX-License-Identifier: MIT */
/*
 * Tests what /proc reports about a process whose memory is known: exact formats, and numbers that must agree. With an
 * argument, tests what can be tested only on Faultline.
 */
#include "user/lib/await.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static char text[1 << 20];

static ssize_t slurp(const char *path)
{
	return read_text(path, text, sizeof(text));
}

/* Returns the number after "name:" in /proc/self/status, or -1. */
static long status_of(const char *name)
{
	char key[64], *at;

	MUST(slurp("/proc/self/status") > 0);
	snprintf(key, sizeof(key), "\n%s:\t", name);
	at = strstr(text, key);
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void *sleeper(void *arg)
{
	return (void *)read(*(int *)arg, arg, 1);
}

static void status(void)
{
	long rss, before, size;
	int fds[2];
	pthread_t thread;
	char *p;

	section("status");
	MUST(slurp("/proc/self/status") > 0);
	CHECK(!strncmp(text, "Name:\tprocfs\nUmask:\t00", 22));
	CHECK(strstr(text, "\nState:\tR (running)\n"));
	CHECK_EQ(status_of("Pid"), getpid());
	CHECK_EQ(status_of("Tgid"), getpid());
	CHECK_EQ(status_of("PPid"), getppid());
	CHECK_EQ(status_of("Threads"), 1);
	MUST(pipe(fds) == 0);
	MUST(pthread_create(&thread, NULL, sleeper, &fds[0]) == 0);
	CHECK_EQ(status_of("Threads"), 2);
	close(fds[1]);
	pthread_join(thread, NULL);
	rss = status_of("VmRSS");
	CHECK(rss > 0 && status_of("VmSize") > rss && status_of("VmHWM") >= rss && status_of("VmPTE") > 0);
	before = status_of("RssAnon");
	size = status_of("VmSize");
	p = map_pages(256, PROT_READ | PROT_WRITE);
	CHECK_EQ(status_of("VmSize") - size, 1024);
	CHECK_EQ(status_of("RssAnon") - before, 0);
	memset(p, 1, 100 * PAGE);
	CHECK_EQ(status_of("RssAnon") - before, 400);
	munmap(p, 256 * PAGE);
	CHECK_EQ(status_of("RssAnon") - before, 0);
	CHECK(status_of("VmPeak") >= size + 1024 && status_of("VmHWM") > rss);
	before = status_of("RssShmem");
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, 10 * PAGE);
	CHECK_EQ(status_of("RssShmem") - before, 40);
	munmap(p, 16 * PAGE);
	CHECK_EQ(status_of("RssShmem") - before, 0);
	CHECK(strstr(text, "\nSigBlk:\t0000000000000000\n"));
}

/* Returns the line of maps that covers an address, without its newline. */
static char *maps_line(void *address)
{
	static char line[512];
	char *at = text;

	MUST(slurp("/proc/self/maps") > 0);
	for (; *at; at = strchr(at, '\n') + 1) {
		unsigned long start, end;

		MUST(sscanf(at, "%lx-%lx ", &start, &end) == 2);
		if ((unsigned long)address < start || (unsigned long)address >= end)
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)(strchr(at, '\n') - at), at);
		return line;
	}
	return NULL;
}

static int global = 1;

static void maps(void)
{
	char want[512], path[] = "/tmp/procfs-XXXXXX", exe[256];
	int local, fd = mkstemp(path);
	struct stat st;
	char *p, *line;
	ssize_t n;

	section("maps");
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	MUST(n > 0);
	exe[n] = 0;
	MUST(stat("/proc/self/exe", &st) == 0);
	line = maps_line(&global);
	CHECK(line && strstr(line, " rw-p ") && strlen(line) > 73 && !strcmp(line + 73, exe));
	line = maps_line((void *)maps);
	CHECK(line && strstr(line, " r-xp ") && !strcmp(line + 73, exe));
	line = maps_line(&local);
	CHECK(line && strstr(line, " rw-p 00000000 00:00 0 ") && !strcmp(line + 73, "[stack]"));
	p = map_island(3, PROT_READ);
	snprintf(want, sizeof(want), "%lx-%lx r--p 00000000 00:00 0 ", (long)p, (long)p + 3 * PAGE);
	CHECK(!strcmp(maps_line(p), want));
	MUST(ftruncate(fd, 5 * PAGE) == 0 && fstat(fd, &st) == 0);
	MUST(mmap(p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE) == p);
	n = snprintf(want, sizeof(want), "%lx-%lx rw-s 00002000 %02lx:%02lx %lu ", (long)p, (long)p + 2 * PAGE,
		     st.st_dev >> 8 & 0xfff, st.st_dev & 0xff, st.st_ino);
	snprintf(want + n, sizeof(want) - n, "%*s%s", (int)(73 - n), "", path);
	CHECK(!strcmp(maps_line(p), want));
	MUST(unlink(path) == 0);
	strcat(want, " (deleted)");
	CHECK(!strcmp(maps_line(p), want));
	close(fd);
	p = mmap(NULL, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	line = maps_line(p);
	CHECK(strstr(line, " ---s 00000000 00:01 ") && !strcmp(line + 73, "/dev/zero (deleted)"));
	munmap(p, PAGE);
	fd = memfd_create("name", 0);
	MUST(ftruncate(fd, PAGE) == 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(!strcmp(maps_line(p) + 73, "/memfd:name (deleted)"));
	munmap(p, PAGE);
	close(fd);
	p = (char *)syscall(SYS_brk, 0);
	MUST(syscall(SYS_brk, p + 2 * PAGE) == (long)p + 2 * (long)PAGE);
	p[PAGE] = 1;
	CHECK(!strcmp(maps_line(p + PAGE) + 73, "[heap]"));
}

static void smaps(void)
{
	char key[64], *at, *p = map_island(8, PROT_READ | PROT_WRITE);

	section("smaps");
	memset(p, 1, 3 * PAGE);
	MUST(slurp("/proc/self/smaps") > 0);
	snprintf(key, sizeof(key), "%lx-%lx rw-p", (long)p, (long)p + 8 * PAGE);
	at = strstr(text, key);
	CHECK(at);
	MUST(at);
	CHECK(strstr(at, "\nSize:                 32 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"
			 "Rss:                  12 kB\nPss:                  12 kB\n"));
	CHECK(strstr(at, "\nPrivate_Dirty:        12 kB\nReferenced:           12 kB\nAnonymous:            12 kB\n"));
	CHECK(strstr(at, "\nVmFlags: rd wr mr mw me "));
	MUST(slurp("/proc/self/smaps_rollup") > 0);
	CHECK(strstr(text, "[rollup]\nRss:  ") && strstr(text, "\nPss_Dirty: ") && strstr(text, "\nPss_Anon:  "));
	/* smaps names the rows between Rss and Locked in the same order. */
	at = strstr(text, "Private_Dirty:");
	CHECK(at && strstr(at, " kB\nReferenced: ") && strstr(at, " kB\nAnonymous: ") && strstr(at, " kB\nSwapPss: "));
}

static void pagemap(void)
{
	char *p = map_pages(4, PROT_READ | PROT_WRITE);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry[4];

	section("pagemap");
	p[0] = p[2 * PAGE] = 1;
	CHECK_EQ(pread(fd, entry, sizeof(entry), (unsigned long)p / PAGE * 8), 32);
	CHECK(entry[0] >> 63 == 1 && entry[2] >> 63 == 1);
	CHECK(entry[1] == 0 && entry[3] == 0);
	CHECK((entry[0] >> 61 & 1) == 0);
	CHECK_ERRNO(pread(fd, entry, 7, 0), EINVAL);
	CHECK_ERRNO(pread(fd, entry, 8, 4), EINVAL);
	close(fd);
}

static void others(void)
{
	char path[64], buf[256];
	int fds[2], status;
	pid_t pid;

	section("another process");
	MUST(pipe(fds) == 0);
	pid = fork();
	if (!pid)
		_exit(read(fds[0], buf, 1) == 1 ? 3 : 4);
	await_state(pid, 'S');
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	CHECK(slurp(path) > 0 && strstr(text, "procfs"));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fds[0]);
	CHECK(readlink(path, buf, sizeof(buf)) > 6 && !strncmp(buf, "pipe:[", 6));
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	CHECK(slurp(path) > 0 && strstr(text, "[stack]\n"));
	kill(pid, SIGSTOP);
	await_state(pid, 'T');
	kill(pid, SIGCONT);
	await_state(pid, 'S');
	MUST(write(fds[1], "x", 1) == 1);
	await_state(pid, 'Z');
	CHECK_EQ(slurp(path), 0);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 3));
	CHECK_ERRNO(open(path, O_RDONLY), ENOENT);
	CHECK_ERRNO(open("/proc/99999999", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("/proc/self/none", O_RDONLY), ENOENT);
}

static int count_names(const char *path, const char *wanted)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	MUST(d);
	while ((e = readdir(d)))
		n += wanted ? !strcmp(e->d_name, wanted) : e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Returns whether a directory's entries of that type have the inode numbers that stat() tells. */
static bool same_numbers(const char *path, int type)
{
	DIR *d = opendir(path);
	bool same = true;
	struct dirent *e;
	struct stat st;

	MUST(d);
	while ((e = readdir(d)))
		if (e->d_type == type && !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			same = same && st.st_ino == e->d_ino;
	closedir(d);
	return same;
}

static void directories(void)
{
	char pid[16], buf[256];
	struct stat st;
	int fd, n;

	section("directories and links");
	snprintf(pid, sizeof(pid), "%d", getpid());
	CHECK_EQ(readlink("/proc/self", buf, sizeof(buf)), (long)strlen(pid));
	CHECK(!memcmp(buf, pid, strlen(pid)));
	CHECK_EQ(count_names("/proc", pid), 1);
	CHECK_EQ(count_names("/proc", "meminfo"), 1);
	CHECK_EQ(count_names("/proc/self/task", NULL), 1);
	CHECK_EQ(count_names("/proc/self", "maps"), 1);
	n = count_names("/proc/self/fd", NULL);
	fd = open("/tmp", O_RDONLY);
	CHECK_EQ(count_names("/proc/self/fd", NULL), n + 1);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	CHECK(stat(buf, &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(lstat(buf, &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 64);
	CHECK_EQ(readlink(buf, buf + 100, 100), 4);
	CHECK(!memcmp(buf + 100, "/tmp", 4));
	CHECK(same_numbers("/proc/self/fd", DT_LNK));
	CHECK(same_numbers("/proc/self/fdinfo", DT_REG));
	close(fd);
	CHECK_ERRNO(stat(buf, &st), ENOENT);
	CHECK_ERRNO(mkdir("/proc/x", 0755), ENOENT);
	CHECK_ERRNO(open("/proc/x", O_CREAT | O_RDWR, 0644), ENOENT);
	fd = open("/proc/self/cmdline", O_RDONLY);
	CHECK_EQ(pread(fd, buf, 1, 0), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	close(fd);
}

static void names(void)
{
	int fd;

	section("comm");
	MUST(prctl(PR_SET_NAME, "another-long-name") == 0);
	CHECK(slurp("/proc/self/comm") == 16 && !strcmp(text, "another-long-na\n"));
	fd = open("/proc/self/comm", O_WRONLY);
	CHECK_EQ(write(fd, "third", 5), 5);
	close(fd);
	CHECK(slurp("/proc/self/comm") > 0 && !strcmp(text, "third\n"));
	MUST(slurp("/proc/self/stat") > 0);
	CHECK(strstr(text, " (third) R "));
	fd = open("/proc/self/oom_score_adj", O_RDWR);
	CHECK_EQ(write(fd, "500", 3), 3);
	CHECK_ERRNO(write(fd, "1001", 4), EINVAL);
	close(fd);
	CHECK(slurp("/proc/self/oom_score_adj") > 0 && !strcmp(text, "500\n"));
}

static void statm(void)
{
	long size, resident, shared, code, lib, data, dirty;

	section("statm");
	MUST(slurp("/proc/self/statm") > 0);
	CHECK_EQ(sscanf(text, "%ld %ld %ld %ld %ld %ld %ld\n", &size, &resident, &shared, &code, &lib, &data, &dirty),
		 7);
	CHECK(size >= resident && resident >= shared && code > 0 && lib == 0 && data > 0 && dirty == 0);
	CHECK_EQ(size * 4, status_of("VmSize"));
}

static void system_wide(void)
{
	static const char *const files[] = { "meminfo", "vmstat",  "cpuinfo", "stat",	     "uptime", "loadavg",
					     "version", "cmdline", "mounts",  "filesystems", "swaps",  "slabinfo" };
	char path[64];

	section("the whole system");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%s", files[i]);
		CHECK_THAT(files[i], slurp(path) > 0 && text[strlen(text) - 1] == '\n');
	}
	MUST(slurp("/proc/meminfo") > 0);
	CHECK(!strncmp(text, "MemTotal:       ", 16) && strstr(text, " kB\nMemFree:        "));
	MUST(slurp("/proc/vmstat") > 0);
	CHECK(!strncmp(text, "nr_free_pages ", 14) && strstr(text, "\npgfault ") && strstr(text, "\npgmajfault "));
	MUST(slurp("/proc/cpuinfo") > 0);
	CHECK(!strncmp(text, "processor\t: 0\nvendor_id\t: ", 26));
	CHECK(slurp("/proc/sys/kernel/ostype") == 6 && !strcmp(text, "Linux\n"));
	CHECK(slurp("/proc/sys/vm/overcommit_memory") == 2);
	CHECK(slurp("/proc/sys/vm/max_map_count") > 1 && atoi(text) >= 65530);
}

static void check_fdinfo(int fd, const char *want)
{
	char path[64], masked[256], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	MUST(slurp(path) > 0);
	at = strstr(text, "mnt_id:\t");
	CHECK(at && isdigit(at[8]) && strstr(at, "\nino:\t"));
	snprintf(masked, sizeof(masked), "%.*s%s", (int)(at - text), text, strchr(strstr(at, "\nino:") + 1, '\n') + 1);
	CHECK_THAT(want, !strcmp(masked, want));
	if (strcmp(masked, want))
		printf("%s", masked);
}

static void fdinfo(void)
{
	char path[] = "/dev/shm/fdinfo-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC), copy = fcntl(fd, F_DUPFD, 20);
	int events = eventfd(5, 0), process = (int)syscall(SYS_pidfd_open, getpid(), 0);
	char want[64];

	section("fdinfo");
	MUST(fd >= 0 && copy >= 20 && events >= 0 && process >= 0 && write(fd, "12345", 5) == 5);
	check_fdinfo(fd, "pos:\t5\nflags:\t02100002\n");
	check_fdinfo(copy, "pos:\t5\nflags:\t0100002\n");
	MUST(slurp("/proc/self/fdinfo/20") >= 0 || copy != 20);
	snprintf(want, sizeof(want), "/proc/self/fdinfo/%d", events);
	MUST(slurp(want) > 0);
	CHECK(strstr(text, "\neventfd-count:                5\n"));
	snprintf(want, sizeof(want), "/proc/self/fdinfo/%d", process);
	MUST(slurp(want) > 0);
	snprintf(want, sizeof(want), "\nPid:\t%d\nNSpid:\t%d\n", getpid(), getpid());
	CHECK(strstr(text, want));
	CHECK_EQ(slurp("/proc/self/fdinfo/999"), -1);
	CHECK_EQ(slurp("/proc/self/task/65537/stat"), -1);
	CHECK_EQ(count_names("/proc/self", "fdinfo"), 1);
	snprintf(want, sizeof(want), "%d", copy);
	CHECK_EQ(count_names("/proc/self/fdinfo", want), 1);
	MUST(!unlink(path) && !close(fd) && !close(copy) && !close(events) && !close(process));
}

static unsigned long io_of(const char *name)
{
	char key[32], *at;

	MUST(slurp("/proc/self/io") > 0);
	snprintf(key, sizeof(key), "%s: ", name);
	at = strstr(text, key);
	return at ? strtoul(at + strlen(key), NULL, 10) : ~0UL;
}

static void io(void)
{
	unsigned long written, writes, read_before, reads;
	int fds[2];

	section("io");
	MUST(pipe(fds) == 0);
	written = io_of("wchar");
	writes = io_of("syscw");
	reads = io_of("syscr");
	read_before = io_of("rchar");
	MUST(write(fds[1], text, 100) == 100 && read(fds[0], text, 300) == 100);
	written = io_of("wchar") - written; /* read before a check prints, because printing writes too */
	writes = io_of("syscw") - writes;
	CHECK_EQ(written, 100);
	CHECK_EQ(writes, 1);
	CHECK(io_of("rchar") - read_before >= 100);
	CHECK(io_of("syscr") - reads > 1);
	CHECK(io_of("read_bytes") != ~0UL && io_of("write_bytes") != ~0UL);
	CHECK_EQ(io_of("cancelled_write_bytes"), 0);
	MUST(slurp("/proc/thread-self/io") > 0);
	CHECK(!strncmp(text, "rchar: ", 7));
	close(fds[0]);
	close(fds[1]);
}

static void disks(void)
{
	section("disks");
	MUST(slurp("/proc/partitions") > 0);
	CHECK(!strncmp(text, "major minor  #blocks  name\n\n", 28));
	CHECK(slurp("/proc/diskstats") >= 0);
}

/* These rows must appear in this order in the first zone that has memory; a kernel may have others between them. */
static void zoneinfo(void)
{
	static const char *const parts[] = {
		"\n  per-node stats",
		"\n      nr_inactive_anon ",
		"\n      nr_anon_pages ",
		"\n      nr_mapped    ",
		"\n  pages free     ",
		"\n        min      ",
		"\n        low      ",
		"\n        high     ",
		"\n        spanned  ",
		"\n        present  ",
		"\n        managed  ",
		"\n        protection: (",
		")\n      nr_free_pages ",
		"\n      nr_mlock     ",
		"\n  pagesets",
		"\n    cpu: 0",
		"\n              count: ",
		"\n              high: ",
		"\n              batch: ",
		"\n  node_unreclaimable:  ",
		"\n  start_pfn:           ",
	};
	char *at = text;

	section("zoneinfo");
	MUST(slurp("/proc/zoneinfo") > 0);
	CHECK(!strncmp(text, "Node 0, zone ", 13));
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char *found = strstr(at, parts[i]);

		CHECK_THAT(parts[i] + strspn(parts[i], "\n "), found != NULL);
		at = found ? found + 1 : at;
	}
}

static pid_t next_number(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	MUST(waitpid(pid, NULL, 0) == pid);
	return pid;
}

/* Starts a thread with a lower number than the first. Returns how many are listed. */
static int list_wrapped(void *fds)
{
	pthread_t thread;

	while (next_number() > getpid())
		continue;
	MUST(pthread_create(&thread, NULL, sleeper, fds) == 0);
	return count_names("/proc/self/task", NULL);
}

/* What would take too long, or change too much, on the Linux that runs the tests. */
static void only_here(void)
{
	const int clear = 5, read_all = 3;
	char log[64];
	int fds[2];

	section("syslog() takes its action and its length as 32 bits");
	memset(log, 'x', sizeof(log));
	CHECK_EQ(syscall(SYS_syslog, read_all, log, 1UL << 32 | 1), 0);
	CHECK(log[0] == 'x' && log[63] == 'x');
	CHECK_EQ(syscall(SYS_syslog, 1UL << 32 | clear, NULL, 0), 0);
	CHECK_EQ(syscall(SYS_syslog, read_all, text, sizeof(text)), 0);
	section("threads whose numbers have wrapped");
	while (next_number() < 1000) /* numbers that have wrapped begin at 300 */
		continue;
	MUST(pipe(fds) == 0);
	CHECK(exited_with(run_child(list_wrapped, fds), 2));
}

int main(int argc, char **argv UNUSED)
{
	if (argc > 1) {
		only_here();
		return check_done();
	}
	status();
	maps();
	smaps();
	pagemap();
	others();
	directories();
	names();
	statm();
	system_wide();
	zoneinfo();
	fdinfo();
	io();
	disks();
	return check_done();
}
