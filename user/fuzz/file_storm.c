/* SPDX-License-Identifier: MIT */
/*
 * A stress test in which threads and processes change one small tree of files at once.
 *
 * Names appear and disappear while other threads open, rename, map, truncate and list them. No single result is
 * predictable. The test checks that the kernel survives, that only expected errors occur, and that everything can be
 * removed at the end.
 *
 * Arguments: seed (1), threads (4), steps for each (400).
 */
#include "user/lib/check.h"
#include "user/lib/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define NR_NAMES 8
#define MAX_FILE (64 * 1024)

static uint64_t seed = 1;
static long nr_threads = 4, nr_steps = 400;
static char root[] = "/tmp/file-storm-XXXXXX";
static unsigned int strange;

/* Makes a path of one to three components, drawn from the same few names. */
static const char *path(uint64_t *r, char *buf)
{
	int n = sprintf(buf, "%s", root);

	for (unsigned int depth = 1 + draw(r, 3); depth; depth--)
		n += sprintf(buf + n, "/%c", (char)('a' + draw(r, NR_NAMES)));
	return buf;
}

/* Accepts success, and the errors that a call on a changing tree may return. */
static void expect(long ret, const char *what)
{
	static const int fine[] = { ENOENT,	EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, ELOOP,  EBUSY,
				    EXDEV,	EAGAIN, EBADF,	 ENXIO,	 ESPIPE,    ENOSPC, ENOMEM, EPERM,
				    EOPNOTSUPP, ENODEV, EACCES,	 EMFILE, EPIPE,	    EINTR };

	if (ret >= 0)
		return;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		if (errno == fine[i])
			return;
	}
	__atomic_add_fetch(&strange, 1, __ATOMIC_RELAXED);
	printf("FAIL %s: %s\n", what, strerror(errno));
}

static void use_file(uint64_t *r, int fd)
{
	static __thread char buf[8192];
	off_t at = (off_t)draw(r, MAX_FILE);
	struct iovec iov[2] = { { buf, draw(r, 3000) }, { buf + 4000, draw(r, 3000) } };
	struct stat st;
	char *p;

	switch (draw(r, 12)) {
	case 0:
		expect(read(fd, buf, draw(r, sizeof(buf))), "read");
		break;
	case 1:
		expect(write(fd, buf, draw(r, sizeof(buf))), "write");
		break;
	case 2:
		expect(pwritev(fd, iov, 2, at), "pwritev");
		break;
	case 3:
		expect(preadv(fd, iov, 2, at), "preadv");
		break;
	case 4:
		expect(ftruncate(fd, at), "ftruncate");
		break;
	case 5:
		expect(lseek(fd, at, SEEK_SET), "lseek");
		break;
	case 6:
		expect(fallocate(fd, draw(r, 4), at, 1 + draw(r, 20000)), "fallocate");
		break;
	case 7:
		expect(fstat(fd, &st), "fstat");
		break;
	case 8:
		expect(flock(fd, (1 << draw(r, 3)) | LOCK_NB), "flock");
		break;
	case 9:
		expect(dup2(fd, 200 + (int)draw(r, 8)), "dup2");
		break;
	case 10:
		expect(sendfile(fd, fd, &at, 5000), "sendfile");
		break;
	default:
		p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, draw(r, 2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			break;
		/* The file may end before the page does, so only system calls, which return EFAULT, touch the page. */
		if (pwrite(fd, p, 2 * PAGE, PAGE / 2) < 0 && errno != EFAULT)
			expect(-1, "pwrite from a mapping");
		if (pread(fd, p + PAGE, PAGE, 0) < 0 && errno != EFAULT)
			expect(-1, "pread to a mapping");
		munmap(p, 4 * PAGE);
		break;
	}
}

static void list(const char *name)
{
	DIR *d = opendir(name);

	if (!d)
		return;
	while (readdir(d))
		;
	closedir(d);
}

static void read_proc(uint64_t *r)
{
	static const char *const files[] = { "/proc/self/maps",	       "/proc/self/status", "/proc/self/smaps",
					     "/proc/self/stat",	       "/proc/vmstat",	    "/proc/self/fd/200",
					     "/proc/thread-self/comm", "/proc/1/cmdline" };
	char buf[300];
	int fd = open(files[draw(r, sizeof(files) / sizeof(files[0]))], O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return;
	while (read(fd, buf, sizeof(buf)) == sizeof(buf) && draw(r, 20))
		;
	close(fd);
	list("/proc/self/fd");
	list("/proc/self/task");
}

static void use_pipe(uint64_t *r)
{
	char buf[5000];
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		return;
	for (int i = 0; i < 6; i++) {
		struct pollfd p[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLOUT, 0 } };

		expect(write(fds[1], buf, draw(r, sizeof(buf))), "write to a pipe");
		expect(poll(p, 2, 0), "poll");
		expect(read(fds[0], buf, draw(r, sizeof(buf))), "read from a pipe");
	}
	close(fds[0]);
	close(fds[1]);
}

static void step(uint64_t *r)
{
	char a[64], b[64], target[256];
	struct stat st;
	int fd;

	switch (draw(r, 14)) {
	case 0:
		expect(mkdir(path(r, a), 0755), "mkdir");
		break;
	case 1:
		expect(rmdir(path(r, a)), "rmdir");
		break;
	case 2:
		expect(unlink(path(r, a)), "unlink");
		break;
	case 3:
		expect(rename(path(r, a), path(r, b)), "rename");
		break;
	case 4:
		expect(link(path(r, a), path(r, b)), "link");
		break;
	case 5:
		expect(symlink(path(r, a), path(r, b)), "symlink");
		break;
	case 6:
		expect(syscall(SYS_renameat2, AT_FDCWD, path(r, a), AT_FDCWD, path(r, b), 2), "exchange");
		break;
	case 7:
		expect(stat(path(r, a), &st), "stat");
		expect(readlink(path(r, a), target, sizeof(target)), "readlink");
		break;
	case 8:
		list(path(r, a));
		break;
	case 9:
		read_proc(r);
		break;
	case 10:
		use_pipe(r);
		break;
	default:
		fd = open(path(r, a), draw(r, 3) ? O_RDWR | O_CREAT : O_RDONLY | O_NONBLOCK, 0644);
		expect(fd, "open");
		for (unsigned int i = 0; fd >= 0 && i < 5; i++)
			use_file(r, fd);
		if (fd >= 0)
			close(fd);
		break;
	}
}

static void *worker(void *arg)
{
	uint64_t r = seed * 1000 + (uint64_t)arg;

	for (long i = 0; i < nr_steps; i++)
		step(&r);
	return NULL;
}

static int run_threads(void *arg)
{
	pthread_t threads[64];

	for (long i = 0; i < nr_threads; i++)
		MUST(pthread_create(&threads[i], NULL, worker, (char *)arg + i) == 0);
	for (long i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	return strange != 0;
}

/* Removes a tree. Some names may already be gone. */
static void remove_tree(const char *name)
{
	char below_it[4096];
	DIR *d = opendir(name);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(below_it, sizeof(below_it), "%s/%s", name, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(below_it);
		else
			unlink(below_it);
	}
	if (d)
		closedir(d);
	rmdir(name);
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	seed = argc > 1 ? strtoul(argv[1], NULL, 0) : seed;
	nr_threads = argc > 2 ? atol(argv[2]) : nr_threads;
	nr_steps = argc > 3 ? atol(argv[3]) : nr_steps;
	MUST(nr_threads > 0 && nr_threads <= 64);
	signal(SIGPIPE, SIG_IGN);
	MUST(mkdtemp(root));
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(run_threads((void *)100));
	CHECK_EQ(run_threads(NULL), 0);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 0));
	remove_tree(root);
	CHECK_ERRNO(rmdir(root), ENOENT);
	return check_done();
}
