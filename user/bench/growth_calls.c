/* SPDX-License-Identifier: MIT */
/*
 * Measures whether the cost of a call per item grows with the number of items.
 *
 * Each row is measured with few items and with eight times as many. A cost that grows with the number of VMAs, files,
 * processes, timers, ... shows that a list is searched where Linux has a tree, a hash or a bitmap.
 *
 *	growth_calls [ROW...]		all rows (or those named): items and cost of one, few and many, and the growth
 *
 * Costs are read from the TSC, which counts instructions under QEMU's -icount. Fails if a cost grows by more than
 * ALLOWED. On Linux, where the TSC counts time, no figure is judged.
 */
#include "user/lib/check.h"
#include "user/lib/faultline.h"
#include "user/lib/futex.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <time.h>

#define MORE 8	    /* times as many items */
#define CALLS 64    /* repetitions of a call whose cost is that of one among many items */
#define ALLOWED 1.3 /* growth: a tree may have three levels more */
#define MAX_ITEMS 20000

#define DISK "/dev/ram0"
#define HOLE 3 /* FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE */
#define SWAP "/dev/ram1"
#define DISK_DIR "/disk"

/* A row's function makes nr items, measures from begin() to each(), undoes its changes, and returns the cost. */
typedef double cost_of_t(long nr);

static uint64_t started;

/* Waits until deferred frees are done, so that they do not run while we measure. */
static void begin(void)
{
	usleep(20000);
	started = read_tsc();
}

/* Returns the instructions per item since begin(). */
static double each(long nr)
{
	return (double)(read_tsc() - started) / (double)nr;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static char *map_touched(long nr)
{
	char *p = map_pages((size_t)nr, PROT_READ | PROT_WRITE);

	fill_pages(p, (size_t)nr, 1);
	return p;
}

/* Maps nr VMAs of one touched page each, side by side. */
static char *map_vmas(long nr)
{
	char *p = map_touched(nr);

	for (long i = 0; i < nr; i += 2)
		MUST(mprotect(p + i * (long)PAGE, PAGE, PROT_READ) == 0);
	return p;
}

static void unmap(char *p, long nr)
{
	MUST(munmap(p, (size_t)nr * PAGE) == 0);
}

static double cost_sysinfo(long nr)
{
	char *p = map_touched(nr);
	struct sysinfo info;
	double cost;

	begin();
	for (int i = 0; i < CALLS; i++)
		MUST(sysinfo(&info) == 0);
	cost = each(CALLS);
	unmap(p, nr);
	return cost;
}

static double mincore_of(char *p, long nr)
{
	static unsigned char there[MAX_ITEMS];
	double cost;

	begin();
	MUST(mincore(p, (size_t)nr * PAGE, there) == 0);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

static double cost_mincore(long nr)
{
	return mincore_of(map_touched(nr), nr);
}

static double cost_mincore_vmas(long nr)
{
	return mincore_of(map_vmas(nr), nr);
}

static double cost_mlock(long nr)
{
	char *p = map_vmas(nr);
	double cost;

	begin();
	MUST(mlock(p, (size_t)nr * PAGE) == 0 && munlock(p, (size_t)nr * PAGE) == 0);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

static double cost_mlockall(long nr)
{
	char *p = map_vmas(nr);
	double cost;

	begin();
	MUST(mlockall(MCL_CURRENT) == 0 && munlockall() == 0);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

static double cost_munmap_vmas(long nr)
{
	char *p = map_vmas(nr);

	begin();
	unmap(p, nr);
	return each(nr);
}

/* Maps, changes and unmaps one more VMA, among nr. */
static double cost_mmap_among(long nr)
{
	char *p = map_vmas(nr), *q;
	double cost;

	begin();
	for (int i = 0; i < CALLS; i++) {
		q = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		MUST(q != MAP_FAILED && mprotect(q, PAGE, PROT_READ | PROT_WRITE) == 0);
		poke(q, 1);
		unmap(q, 2);
	}
	cost = each(CALLS);
	unmap(p, nr);
	return cost;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static double cost_fork_vmas(long nr)
{
	char *p = map_vmas(nr);
	double cost;

	begin();
	run_child(nothing, NULL);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

/* --- one file in many mappings ------------------------------------------------------------------------------------ */

static int memfd(long nr_pages)
{
	int fd = (int)syscall(SYS_memfd_create, "growth", 0);

	MUST(fd >= 0 && ftruncate(fd, nr_pages * (long)PAGE) == 0);
	return fd;
}

/* Makes nr VMAs that each map the first page of the file: none merges with its neighbour. */
static char *map_often(int fd, long nr)
{
	char *p = map_pages((size_t)nr, PROT_NONE);

	for (long i = 0; i < nr; i++)
		MUST(mmap(p + i * (long)PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
		     MAP_FAILED);
	return p;
}

static double cost_truncate_mappers(long nr)
{
	int fd = memfd(1);
	char *p = map_often(fd, nr);
	double cost;

	fill_pages(p, (size_t)nr, 1);
	begin();
	MUST(ftruncate(fd, 0) == 0);
	cost = each(nr);
	unmap(p, nr);
	close(fd);
	return cost;
}

/* Punches out pages that no VMA maps, of a file whose first page nr VMAs map. */
static double cost_hole_among_mappers(long nr)
{
	int fd = memfd(2 * CALLS);
	char *p = map_often(fd, nr), byte = 1;
	double cost;

	for (int i = 1; i < 2 * CALLS; i++)
		MUST(pwrite(fd, &byte, 1, i * (long)PAGE) == 1);
	begin();
	for (int i = 1; i <= CALLS; i++)
		MUST(fallocate(fd, HOLE, i * (long)PAGE, PAGE) == 0);
	cost = each(CALLS);
	unmap(p, nr);
	close(fd);
	return cost;
}

static double cost_fault_among_mappers(long nr)
{
	int fd = memfd(2 * CALLS);
	char *p = map_often(fd, nr), *q = mmap(NULL, 2 * CALLS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	double cost;

	MUST(q != MAP_FAILED);
	begin();
	fill_pages(q, 2 * CALLS, 1);
	cost = each(2 * CALLS);
	MUST(munmap(q, 2 * CALLS * PAGE) == 0);
	unmap(p, nr);
	close(fd);
	return cost;
}

/* --- /proc, read in pieces ---------------------------------------------------------------------------------------- */

static void read_through(const char *path, size_t piece, long from, long total)
{
	int fd = open(path, O_RDONLY);
	char buf[4096];
	ssize_t n;

	MUST(fd >= 0 && lseek(fd, from, SEEK_SET) == from);
	while (total > 0 && (n = read(fd, buf, piece)) > 0)
		total -= n;
	close(fd);
}

static double read_among_vmas(const char *path, long nr)
{
	char *p = map_vmas(nr);
	double cost;

	begin();
	read_through(path, 64, 0, 1L << 40);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

static double cost_maps(long nr)
{
	return read_among_vmas("/proc/self/maps", nr);
}

static double cost_smaps(long nr)
{
	return read_among_vmas("/proc/self/smaps", nr);
}

static double cost_pagemap(long nr)
{
	char *p = map_touched(nr);
	double cost;

	begin();
	read_through("/proc/self/pagemap", 64, (long)((uintptr_t)p / PAGE * 8), nr * 8);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

static long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long nr = 0;

	MUST(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

static void dup_all(int *fds, long nr)
{
	for (long i = 0; i < nr; i++)
		MUST((fds[i] = dup(1)) >= 0);
}

static void close_all(const int *fds, long nr)
{
	for (long i = nr - 1; i >= 0; i--)
		close(fds[i]);
}

static int fds[MAX_ITEMS];

static double cost_dup(long nr)
{
	double cost;

	begin();
	dup_all(fds, nr);
	cost = each(nr);
	close_all(fds, nr);
	return cost;
}

/* The lowest descriptor is closed and used again, and the next one is above all others. */
static double cost_dup_behind_all(long nr)
{
	double cost;
	int fd;

	dup_all(fds, nr);
	begin();
	for (int i = 0; i < CALLS; i++) {
		close(fds[0]);
		MUST(dup(1) == fds[0]);
		MUST((fd = dup(1)) > fds[nr - 1]);
		close(fd);
	}
	cost = each(CALLS);
	close_all(fds, nr);
	return cost;
}

static double cost_dup_from(long nr)
{
	double cost;
	int fd;

	dup_all(fds, nr);
	close(fds[0]);
	begin();
	for (int i = 0; i < CALLS; i++) {
		MUST((fd = fcntl(1, F_DUPFD, fds[1])) > fds[nr - 1]);
		close(fd);
	}
	cost = each(CALLS);
	MUST(dup(1) == fds[0]);
	close_all(fds, nr);
	return cost;
}

static double cost_fork_descriptors(long nr)
{
	double cost;

	dup_all(fds, nr);
	begin();
	run_child(nothing, NULL);
	cost = each(nr);
	close_all(fds, nr);
	return cost;
}

static double cost_list_descriptors(long nr)
{
	double cost;

	dup_all(fds, nr);
	begin();
	MUST(count_entries("/proc/self/fd") >= nr);
	cost = each(nr);
	close_all(fds, nr);
	return cost;
}

/* --- waiting for files -------------------------------------------------------------------------------------------- */

static void make_eventfds(long nr)
{
	for (long i = 0; i < nr; i++)
		MUST((fds[i] = eventfd(0, 0)) >= 0);
}

/* Makes the last one ready, so that nothing sleeps. */
static void make_ready(long nr)
{
	uint64_t one = 1;

	MUST(write(fds[nr - 1], &one, sizeof(one)) == sizeof(one));
}

static double cost_poll(long nr)
{
	static struct pollfd asked[MAX_ITEMS];
	double cost;

	make_eventfds(nr);
	make_ready(nr);
	for (long i = 0; i < nr; i++)
		asked[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	begin();
	MUST(poll(asked, (nfds_t)nr, -1) == 1);
	cost = each(nr);
	close_all(fds, nr);
	return cost;
}

static double cost_select(long nr)
{
	fd_set asked;
	double cost;

	FD_ZERO(&asked);
	make_eventfds(nr);
	make_ready(nr);
	for (long i = 0; i < nr; i++)
		FD_SET(fds[i], &asked);
	begin();
	MUST(select(fds[nr - 1] + 1, &asked, NULL, NULL, NULL) == 1);
	cost = each(nr);
	close_all(fds, nr);
	return cost;
}

static void control_all(int epoll, int op, long nr)
{
	for (long i = nr - 1; i >= 0; i--) {
		struct epoll_event event = { .events = EPOLLIN };

		MUST(epoll_ctl(epoll, op, fds[i], &event) == 0);
	}
}

/* Adds all watches, changes them, waits as many times, and deletes them. */
static double cost_epoll(long nr)
{
	int epoll = epoll_create1(0);
	struct epoll_event event;
	double cost;

	make_eventfds(nr);
	make_ready(nr);
	begin();
	control_all(epoll, EPOLL_CTL_ADD, nr);
	control_all(epoll, EPOLL_CTL_MOD, nr);
	for (long i = 0; i < nr; i++)
		MUST(epoll_wait(epoll, &event, 1, -1) == 1);
	control_all(epoll, EPOLL_CTL_DEL, nr);
	cost = each(nr);
	close(epoll);
	close_all(fds, nr);
	return cost;
}

/* All are ready, and each wait returns one. */
static double cost_epoll_ready(long nr)
{
	int epoll = epoll_create1(0);
	struct epoll_event event;
	double cost;

	make_eventfds(nr);
	for (long i = 1; i <= nr; i++)
		make_ready(i);
	control_all(epoll, EPOLL_CTL_ADD, nr);
	begin();
	for (long i = 0; i < nr; i++)
		MUST(epoll_wait(epoll, &event, 1, -1) == 1);
	cost = each(nr);
	close(epoll);
	close_all(fds, nr);
	return cost;
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

static pid_t children[MAX_ITEMS];

/* Starts children, each in a process group of its own. */
static void start_children(long nr)
{
	for (long i = 0; i < nr; i++) {
		children[i] = fork();
		MUST(children[i] >= 0);
		while (children[i] == 0)
			pause();
		MUST(setpgid(children[i], 0) == 0);
	}
}

static void end_children(long nr)
{
	for (long i = 0; i < nr; i++)
		kill(children[i], SIGKILL);
}

static void wait_for_children(long nr)
{
	for (long i = nr - 1; i >= 0; i--)
		MUST(waitpid(children[i], NULL, 0) == children[i]);
}

/* Waits for each child by its number, the youngest first. */
static double cost_waitpid(long nr)
{
	siginfo_t info;
	double cost;

	start_children(nr);
	end_children(nr);
	for (long i = 0; i < nr; i++) /* until all have ended */
		MUST(waitid(P_PID, (id_t)children[i], &info, WEXITED | WNOWAIT) == 0);
	begin();
	wait_for_children(nr);
	cost = each(nr);
	return cost;
}

static double among_children(long nr, void (*call)(pid_t last))
{
	double cost;

	start_children(nr);
	begin();
	for (int i = 0; i < CALLS; i++)
		call(children[nr - 1]);
	cost = each(CALLS);
	end_children(nr);
	wait_for_children(nr);
	return cost;
}

static void kill_group(pid_t last)
{
	MUST(kill(-last, 0) == 0);
}

static void change_group(pid_t last)
{
	MUST(setpgid(last, last) == 0 && getpgid(last) == last && getsid(last) == getsid(0));
}

/* The child enters a group of its own, so that its exit orphans no group. vfork: the child runs on our memory. */
static void fork_and_wait(pid_t last)
{
	pid_t child = vfork();
	int status;

	(void)last;
	if (child == 0)
		_exit(setpgid(0, 0) != 0);
	MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static double cost_kill_group(long nr)
{
	return among_children(nr, kill_group);
}

static double cost_setpgid(long nr)
{
	return among_children(nr, change_group);
}

static double cost_fork_among(long nr)
{
	return among_children(nr, fork_and_wait);
}

static double cost_list_processes(long nr)
{
	double cost;

	start_children(nr);
	begin();
	MUST(count_entries("/proc") > nr);
	cost = each(nr);
	end_children(nr);
	wait_for_children(nr);
	return cost;
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static uint32_t words[MAX_ITEMS];
static pthread_t threads[MAX_ITEMS];

static void *wait_for_word(void *arg)
{
	uint32_t *word = arg;

	while (!__atomic_load_n(word, __ATOMIC_SEQ_CST))
		futex_wait(word, 0);
	return NULL;
}

static void start_threads(long nr)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 4 * PAGE);
	for (long i = 0; i < nr; i++) {
		words[i] = 0;
		MUST(pthread_create(&threads[i], &attr, wait_for_word, &words[i]) == 0);
		sched_yield(); /* lets the thread go to sleep */
	}
}

static void end_threads(long nr)
{
	for (long i = nr - 1; i >= 0; i--) {
		__atomic_store_n(&words[i], 1, __ATOMIC_SEQ_CST);
		futex_wake(&words[i], 1);
	}
	for (long i = nr - 1; i >= 0; i--)
		pthread_join(threads[i], NULL);
}

/* The threads start, sleep on a word each, are woken and exit. */
static double cost_threads(long nr)
{
	begin();
	start_threads(nr);
	end_threads(nr);
	return each(nr);
}

static double cost_list_threads(long nr)
{
	double cost;

	start_threads(nr);
	begin();
	MUST(count_entries("/proc/self/task") >= nr);
	cost = each(nr);
	end_threads(nr);
	return cost;
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

static timer_t timers[MAX_ITEMS];

/* The timers are made, set to ever later times, changed, and deleted, the newest first. */
static double cost_timers(long nr)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	double cost;

	begin();
	for (long i = 0; i < nr; i++)
		MUST(timer_create(CLOCK_MONOTONIC, &event, &timers[i]) == 0);
	for (long i = 0; i < 2 * nr; i++) {
		struct itimerspec when = { .it_value.tv_sec = 3600 + i };

		MUST(timer_settime(timers[i % nr], 0, &when, NULL) == 0);
	}
	for (long i = nr - 1; i >= 0; i--)
		MUST(timer_delete(timers[i]) == 0);
	cost = each(nr);
	return cost;
}

/* --- mounts ------------------------------------------------------------------------------------------------------- */

static char mount_dir[] = "/tmp/growth.XXXXXX";

static const char *mount_name(long i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s/%ld", mount_dir, i);
	return name;
}

static double cost_mounts(long nr)
{
	struct stat status;
	double cost;

	for (long i = 0; i < nr; i++)
		MUST(mkdir(mount_name(i), 0755) == 0);
	begin();
	for (long i = 0; i < nr; i++)
		MUST(mount("growth", mount_name(i), "tmpfs", 0, NULL) == 0);
	for (long i = 0; i < nr; i++)
		MUST(stat(mount_name(i), &status) == 0);
	read_through("/proc/mounts", 64, 0, 1L << 40);
	cost = each(nr);
	for (long i = nr - 1; i >= 0; i--)
		MUST(umount(mount_name(i)) == 0 && rmdir(mount_name(i)) == 0);
	return cost;
}

/* --- shared memory, locks and files ------------------------------------------------------------------------------- */

static int segments[MAX_ITEMS];

static void attach_and_detach(int id)
{
	void *p = shmat(id, NULL, 0);

	MUST(p != (void *)-1 && shmdt(p) == 0);
}

static double cost_sysv_shm(long nr)
{
	double cost;

	begin();
	for (long i = 0; i < nr; i++)
		MUST((segments[i] = shmget((key_t)(7000 + i), PAGE, IPC_CREAT | IPC_EXCL | 0600)) >= 0);
	for (long i = nr - 1; i >= 0; i--) {
		MUST(shmget((key_t)(7000 + i), PAGE, 0) == segments[i]);
		attach_and_detach(segments[i]);
	}
	for (long i = nr - 1; i >= 0; i--)
		MUST(shmctl(segments[i], IPC_RMID, NULL) == 0);
	cost = each(nr);
	return cost;
}

static void lock_byte(int fd, short type, long at)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	MUST(fcntl(fd, F_SETLK, &lock) == 0);
}

/* Locks every other byte of a file. */
static double cost_record_locks(long nr)
{
	int fd = memfd(16);
	double cost;

	begin();
	for (long i = 0; i < nr; i++)
		lock_byte(fd, F_WRLCK, 2 * i);
	for (long i = 0; i < nr; i++)
		lock_byte(fd, F_UNLCK, 2 * i);
	cost = each(nr);
	close(fd);
	return cost;
}

static int make_file(const char *path, long nr)
{
	int fd = open(path, O_CREAT | O_RDWR, 0600);
	static char page[PAGE];

	MUST(fd >= 0);
	for (long i = 0; i < nr; i++)
		MUST(write(fd, page, PAGE) == (ssize_t)PAGE);
	return fd;
}

static double cost_unlink(long nr)
{
	int fd = make_file("/tmp/growth", nr);

	close(fd);
	begin();
	MUST(unlink("/tmp/growth") == 0);
	return each(nr);
}

/* Measures a call on a file of a freshly formatted disk, which is unmounted afterwards. */
static double cost_on_disk(long nr, int (*call)(int fd, long nr))
{
	double cost;
	int fd;

	MUST(mount(DISK, DISK_DIR, "faultfs", 0, "format") == 0);
	fd = make_file(DISK_DIR "/file", nr);
	MUST(fsync(fd) == 0);
	begin();
	MUST(call(fd, nr) == 0);
	cost = each(nr);
	close(fd);
	MUST(umount(DISK_DIR) == 0);
	return cost;
}

static int make_empty(int fd, long nr)
{
	(void)nr;
	return ftruncate(fd, 0);
}

/* Punches one hole, of all but the last page. */
static int punch(int fd, long nr)
{
	return fallocate(fd, HOLE, 0, (nr - 1) * (long)PAGE);
}

static double cost_truncate_on_disk(long nr)
{
	return cost_on_disk(nr, make_empty);
}

static double cost_punch_on_disk(long nr)
{
	return cost_on_disk(nr, punch);
}

/* --- swap --------------------------------------------------------------------------------------------------------- */

static void page_out(char *p, long nr)
{
	MUST(madvise(p, (size_t)nr * PAGE, 21) == 0); /* MADV_PAGEOUT */
}

static double cost_pageout_vmas(long nr)
{
	char *p = map_vmas(nr);
	double cost;

	begin();
	page_out(p, nr);
	cost = each(nr);
	unmap(p, nr);
	return cost;
}

static double cost_swapoff(long nr)
{
	char *p = map_vmas(nr);
	double cost;

	page_out(p, nr);
	begin();
	MUST(swapoff(SWAP) == 0);
	cost = each(nr);
	MUST(swapon(SWAP, 0) == 0);
	unmap(p, nr);
	return cost;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static const struct row {
	const char *name;
	cost_of_t *cost_of;
	long few;
	const char *needs; /* a device that must exist, or NULL */
} rows[] = {
	{ "sysinfo", cost_sysinfo, 1000, NULL },
	{ "mincore", cost_mincore, 1000, NULL },
	{ "mincore-vmas", cost_mincore_vmas, 400, NULL },
	{ "mlock", cost_mlock, 400, NULL },
	{ "mlockall", cost_mlockall, 400, NULL },
	{ "munmap-vmas", cost_munmap_vmas, 400, NULL },
	{ "mmap-among", cost_mmap_among, 400, NULL },
	{ "fork-vmas", cost_fork_vmas, 400, NULL },
	{ "truncate-mappers", cost_truncate_mappers, 400, NULL },
	{ "hole-among-mappers", cost_hole_among_mappers, 400, NULL },
	{ "fault-among-mappers", cost_fault_among_mappers, 400, NULL },
	{ "maps", cost_maps, 1000, NULL },
	{ "smaps", cost_smaps, 100, NULL },
	{ "pagemap", cost_pagemap, 400, NULL },
	{ "dup", cost_dup, 1000, NULL },
	{ "dup-behind-all", cost_dup_behind_all, 1000, NULL },
	{ "dup-from", cost_dup_from, 1000, NULL },
	{ "fork-descriptors", cost_fork_descriptors, 1000, NULL },
	{ "list-descriptors", cost_list_descriptors, 500, NULL },
	{ "poll", cost_poll, 400, NULL },
	{ "select", cost_select, 100, NULL },
	{ "epoll", cost_epoll, 400, NULL },
	{ "epoll-ready", cost_epoll_ready, 400, NULL },
	{ "waitpid", cost_waitpid, 50, NULL },
	{ "kill-group", cost_kill_group, 50, NULL },
	{ "setpgid", cost_setpgid, 50, NULL },
	{ "fork-among", cost_fork_among, 100, NULL },
	{ "list-processes", cost_list_processes, 50, NULL },
	{ "threads", cost_threads, 50, NULL },
	{ "list-threads", cost_list_threads, 50, NULL },
	{ "timers", cost_timers, 400, NULL },
	{ "mounts", cost_mounts, 20, NULL },
	{ "sysv-shm", cost_sysv_shm, 400, NULL },
	{ "record-locks", cost_record_locks, 400, NULL },
	{ "unlink", cost_unlink, 1000, NULL },
	{ "truncate-on-disk", cost_truncate_on_disk, 600, DISK },
	{ "punch-on-disk", cost_punch_on_disk, 600, DISK },
	{ "pageout-vmas", cost_pageout_vmas, 400, SWAP },
	{ "swapoff", cost_swapoff, 400, SWAP },
};

static bool is_named(const struct row *row, int nr, char **names)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(names[i], row->name))
			return true;
	return !nr;
}

/* Returns false if the cost grows and is judged. */
static bool measure(const struct row *row)
{
	double few, many;

	(void)row->cost_of(row->few); /* fills the object caches */
	few = row->cost_of(row->few);
	many = row->cost_of(row->few * MORE);
	printf("%-20s %6ld: %8.0f  %6ld: %8.0f  %5.2f%s\n", row->name, row->few, few, row->few * MORE, many, many / few,
	       many > few * ALLOWED ? "  grows" : "");
	fflush(stdout);
	return many <= few * ALLOWED || !on_faultline();
}

static void prepare(void)
{
	struct rlimit many = { 2 * MAX_ITEMS, 2 * MAX_ITEMS };

	MUST(setrlimit(RLIMIT_NOFILE, &many) == 0 && setrlimit(RLIMIT_SIGPENDING, &many) == 0);
	mkdir("/tmp", 01777);
	mkdir(DISK_DIR, 0755);
	MUST(mkdtemp(mount_dir));
}

int main(int argc, char **argv)
{
	int nr_grow = 0;

	prepare();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (is_named(row, argc - 1, argv + 1) && (!row->needs || (on_faultline() && !access(row->needs, F_OK))))
			nr_grow += !measure(row);
	}
	rmdir(mount_dir);
	printf("%d rows grow\n", nr_grow);
	return nr_grow != 0;
}
