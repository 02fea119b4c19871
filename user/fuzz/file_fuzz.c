/* SPDX-License-Identifier: MIT */
/*
 * A seeded fuzzer of the calls on files: every kind of file meets every call, with plausible and absurd arguments.
 *
 * For Faultline only: on a real system the fuzzer would damage everything in its reach.
 *
 * Arguments: seed (1), children (12), calls for each of their threads (600).
 */
#include "user/lib/fuzzer.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char *arena;

/*
 * kmsg and the console are left out, since reading them would wait or mix with our output, and so is the file that sets
 * the policy.
 */
static const char *const paths[] = {
	"a",
	"b",
	"d",
	"d/a",
	"d/b",
	"d/e",
	"d/e/f",
	"s",
	"s/a",
	".",
	"..",
	"/",
	"/tmp",
	"/tmp/",
	"/dev",
	"/dev/shm/x",
	"",
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/urandom",
	"/dev/fd",
	"/dev/fd/5",
	"/proc",
	"/proc/self",
	"/proc/self/fd",
	"/proc/self/fd/5",
	"/proc/self/fd/9",
	"/proc/self/exe",
	"/proc/self/cwd",
	"/proc/self/cwd/a",
	"/proc/self/root/tmp/a",
	"/proc/self/maps",
	"/proc/self/smaps",
	"/proc/self/smaps_rollup",
	"/proc/self/pagemap",
	"/proc/self/status",
	"/proc/self/stat",
	"/proc/self/statm",
	"/proc/self/comm",
	"/proc/self/cmdline",
	"/proc/self/environ",
	"/proc/self/auxv",
	"/proc/self/limits",
	"/proc/self/oom_score_adj",
	"/proc/self/task",
	"/proc/thread-self/fd",
	"/proc/1",
	"/proc/1/fd",
	"/proc/1/cwd",
	"/proc/meminfo",
	"/proc/vmstat",
	"/proc/cpuinfo",
	"/proc/slabinfo",
	"/proc/mounts",
	"/proc/uptime",
	"/proc/loadavg",
	"/proc/sys/vm/max_map_count",
	"/proc/sys/vm/drop_caches",
	"/proc/sys/kernel/osrelease",
	"/proc/faultline/race",
	"d/../d/../d/./a//",
	"loop",
};

enum kind { END, PATH, FD, DIRFD, ADDRESS, LENGTH, NUMBER, SMALL, FLAGS, OFFSET, ZERO };

static uint64_t argument(uint64_t *r, enum kind kind)
{
	if (kind != ZERO && draw(r, 14) == 0)
		return draw_absurd(r);
	switch (kind) {
	case PATH:
		return (uint64_t)paths[draw(r, sizeof(paths) / sizeof(paths[0]))];
	case FD:
		return 3 + draw(r, 24);
	case DIRFD:
		return draw(r, 3) ? (uint64_t)AT_FDCWD : 3 + draw(r, 24);
	case ADDRESS:
		return (uint64_t)arena + draw(r, 64 * PAGE);
	case LENGTH:
		return draw(r, 2) ? draw(r, 200) : draw(r, 20000);
	case SMALL:
		return draw(r, 12);
	case FLAGS:
		return 1UL << draw(r, 23) | (draw(r, 2) ? 1UL << draw(r, 23) : 0);
	case OFFSET:
		return draw(r, 100000);
	case ZERO:
	case END:
		return 0;
	default:
		return splitmix64(r) >> draw(r, 64);
	}
}

static const struct call {
	int nr;
	enum kind argument[6];
} calls[] = {
	{ SYS_open, { PATH, FLAGS, NUMBER } },
	{ SYS_open, { PATH, SMALL, NUMBER } },
	{ SYS_openat, { DIRFD, PATH, FLAGS, NUMBER } },
	{ SYS_close, { FD } },
	{ SYS_read, { FD, ADDRESS, LENGTH } },
	{ SYS_write, { FD, ADDRESS, LENGTH } },
	{ SYS_readv, { FD, ADDRESS, SMALL } },
	{ SYS_writev, { FD, ADDRESS, SMALL } },
	{ SYS_pread64, { FD, ADDRESS, LENGTH, OFFSET } },
	{ SYS_pwrite64, { FD, ADDRESS, LENGTH, OFFSET } },
	{ SYS_preadv, { FD, ADDRESS, SMALL, OFFSET } },
	{ SYS_pwritev, { FD, ADDRESS, SMALL, OFFSET } },
	{ SYS_lseek, { FD, NUMBER, SMALL } },
	{ SYS_sendfile, { FD, FD, ADDRESS, LENGTH } },
	{ SYS_sendfile, { FD, FD, ZERO, LENGTH } },
	{ SYS_ftruncate, { FD, OFFSET } },
	{ SYS_truncate, { PATH, OFFSET } },
	{ SYS_fallocate, { FD, SMALL, OFFSET, OFFSET } },
	{ SYS_mmap, { ADDRESS, LENGTH, SMALL, SMALL, FD, ZERO } },
	{ SYS_munmap, { ADDRESS, LENGTH } },
	{ SYS_stat, { PATH, ADDRESS } },
	{ SYS_lstat, { PATH, ADDRESS } },
	{ SYS_fstat, { FD, ADDRESS } },
	{ SYS_newfstatat, { DIRFD, PATH, ADDRESS, FLAGS } },
	{ SYS_statx, { DIRFD, PATH, FLAGS, NUMBER, ADDRESS } },
	{ SYS_statfs, { PATH, ADDRESS } },
	{ SYS_faccessat, { DIRFD, PATH, SMALL } },
	{ SYS_fchmodat, { DIRFD, PATH, NUMBER } },
	{ SYS_fchownat, { DIRFD, PATH, NUMBER, NUMBER, FLAGS } },
	{ SYS_utimensat, { DIRFD, PATH, ADDRESS, FLAGS } },
	{ SYS_mkdirat, { DIRFD, PATH, NUMBER } },
	{ SYS_mknodat, { DIRFD, PATH, NUMBER, NUMBER } },
	{ SYS_unlinkat, { DIRFD, PATH, ZERO } },
	{ SYS_unlinkat, { DIRFD, PATH, FLAGS } },
	{ SYS_linkat, { DIRFD, PATH, DIRFD, PATH, FLAGS } },
	{ SYS_symlinkat, { PATH, DIRFD, PATH } },
	{ SYS_renameat2, { DIRFD, PATH, DIRFD, PATH, SMALL } },
	{ SYS_readlinkat, { DIRFD, PATH, ADDRESS, LENGTH } },
	{ SYS_chdir, { PATH } },
	{ SYS_fchdir, { FD } },
	{ SYS_getcwd, { ADDRESS, LENGTH } },
	{ SYS_getdents64, { FD, ADDRESS, LENGTH } },
	{ SYS_dup, { FD } },
	{ SYS_dup2, { FD, FD } },
	{ SYS_fcntl, { FD, SMALL, NUMBER } },
	{ SYS_fcntl, { FD, SMALL, ADDRESS } },
	{ SYS_ioctl, { FD, NUMBER, ADDRESS } },
	{ SYS_flock, { FD, SMALL } },
	{ SYS_pipe2, { ADDRESS, FLAGS } },
	{ SYS_eventfd2, { NUMBER, FLAGS } },
	{ SYS_memfd_create, { PATH, SMALL } },
	{ SYS_poll, { ADDRESS, SMALL, SMALL } },
	{ SYS_select, { SMALL, ADDRESS, ADDRESS, ADDRESS, ADDRESS } },
	{ SYS_ppoll, { ADDRESS, SMALL, ADDRESS, ADDRESS, SMALL } },
	{ SYS_close_range, { FD, FD, SMALL } },
	{ SYS_fadvise64, { FD, OFFSET, OFFSET, SMALL } },
	{ SYS_fsync, { FD } },
	{ SYS_umask, { NUMBER } },
};

static void *fuzz(void *arg)
{
	uint64_t r = (uint64_t)arg;

	for (long i = 0; i < nr_calls; i++) {
		const struct call *c = &calls[draw(&r, sizeof(calls) / sizeof(calls[0]))];
		uint64_t a[6];

		for (int n = 0; n < 6; n++)
			a[n] = argument(&r, c->argument[n]);
		syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	return NULL;
}

/* Opens one file of each kind, so that plausible descriptors are open. */
static void open_all(void)
{
	int fds[2];

	MUST(pipe2(fds, O_NONBLOCK) == 0 && pipe(fds) == 0);
	eventfd(1, EFD_NONBLOCK);
	MUST(ftruncate(memfd_create("m", MFD_ALLOW_SEALING), 3 * PAGE) == 0);
	open("a", O_RDWR | O_CREAT, 0600);
	open(".", O_RDONLY);
	open("/proc/self/maps", O_RDONLY);
	open("/proc/self/fd", O_RDONLY);
	open("/dev/zero", O_RDWR);
	open("/proc/self/pagemap", O_RDONLY);
	open("a", O_PATH);
}

static int child(long number)
{
	setrlimit(RLIMIT_AS, &(struct rlimit){ 64 << 20, 64 << 20 });
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 40, 40 });
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	MUST(open("/dev/null", O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2);
	open_all();
	arena = map_pages(64, PROT_READ | PROT_WRITE);
	return fuzz_in_threads(number, fuzz);
}

int main(int argc, char **argv)
{
	MUST(chdir("/tmp") == 0 && mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	MUST(symlink("d", "s") == 0 && symlink("loop", "loop") == 0);
	nr_calls = 600;
	return fuzzer_main((struct fuzzer){ "file fuzz", child, .seconds = 3, .nr_children = 12 }, argc, argv);
}
