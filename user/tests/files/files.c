/* SPDX-License-Identifier: MIT */
/* Tests files and names: all forms of open, positions, holes, links, directories, renaming, and removal while open. */
#include "user/lib/check.h"
#include "user/lib/faultline.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>

#define NOT_APPENDED 0x20 /* RWF_NOAPPEND, which older C libraries do not know */

static char dir[] = "/tmp/files-XXXXXX";

static int make_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0644);

	MUST(fd >= 0);
	MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

static bool holds(const char *name, const char *text)
{
	char buf[256] = "";
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, n);
}

/* Also returns true on Linux before 6.9, which does not know the flag. */
static bool can_write_in_place(int fd)
{
	struct iovec iov = { "H", 1 };

	if (syscall(SYS_pwritev2, fd, &iov, 1L, 0L, 0L, NOT_APPENDED) == 1)
		return holds("a", "Hello!?");
	return errno == EOPNOTSUPP && !on_faultline();
}

static void opening(void)
{
	char buf[16];
	int fd;

	section("open");
	CHECK_ERRNO(open("none", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("none/below", O_RDONLY), ENOENT);
	CHECK_ERRNO(open((char *)-4096L, O_RDONLY), EFAULT);
	fd = make_file("a", "hello");
	CHECK_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDWR);
	CHECK_ERRNO(open("a", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	CHECK_ERRNO(open("a/b", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open("a/", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open("a", O_DIRECTORY), ENOTDIR);
	CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
	CHECK_ERRNO(open(".", O_RDWR | O_CREAT, 0600), EISDIR);
	CHECK_ERRNO(open("new/", O_RDWR | O_CREAT, 0600), EISDIR);
	CHECK_ERRNO(open("a", O_RDONLY | O_CREAT | O_DIRECTORY, 0600), EINVAL);
	close(fd);
	fd = open("a", O_RDONLY);
	CHECK_ERRNO(write(fd, "x", 1), EBADF);
	CHECK_EQ(read(fd, buf, 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	CHECK_EQ(read(fd, buf, 16), 2);
	CHECK_EQ(read(fd, buf, 16), 0);
	CHECK_ERRNO(read(fd, (char *)-4096L, 1), EFAULT);
	close(fd);
	fd = open("a", O_WRONLY | O_APPEND);
	CHECK_ERRNO(read(fd, buf, 1), EBADF);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "!", 1), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
	/* Linux appends in spite of the offset, and C libraries differ. */
	CHECK_EQ(syscall(SYS_pwrite64, fd, "?", 1L, 0L), 1);
	CHECK(holds("a", "hello!?"));
	CHECK_THAT("a flag of pwritev2 says where", can_write_in_place(fd));
	close(fd);
	fd = open("a", O_RDWR | O_TRUNC);
	CHECK(holds("a", ""));
	close(fd);
	fd = open("a", O_PATH);
	CHECK_ERRNO(read(fd, buf, 1), EBADF);
	CHECK_ERRNO(syscall(SYS_fchmod, fd, 0600), EBADF);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	close(fd);
	CHECK_ERRNO(close(fd), EBADF);
	CHECK_ERRNO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "tmp", 3), 3);
	close(fd);
}

static void positions(void)
{
	char buf[16];
	struct iovec iov[3] = { { "one", 3 }, { NULL, 0 }, { "two", 3 } };
	struct iovec in[2] = { { buf, 2 }, { buf + 2, 14 } };
	int fd = make_file("pos", "");
	struct stat st;

	section("positions and holes");
	CHECK_EQ(writev(fd, iov, 3), 6);
	CHECK_EQ(preadv(fd, in, 2, 1), 5);
	CHECK(!memcmp(buf, "netwo", 5));
	CHECK_EQ(lseek(fd, 0, SEEK_END), 6);
	CHECK_EQ(lseek(fd, -2, SEEK_END), 4);
	CHECK_ERRNO(lseek(fd, -7, SEEK_END), EINVAL);
	CHECK_ERRNO(lseek(fd, 0, 9), EINVAL);
	CHECK_ERRNO(lseek(99, 0, SEEK_SET), EBADF);
	CHECK_ERRNO(pread(fd, buf, 1, -1), EINVAL);
	CHECK_EQ(pwrite(fd, "x", 1, 100000), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 100001);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 0);
	CHECK_EQ(lseek(fd, 5, SEEK_HOLE), 4096);
	CHECK_EQ(lseek(fd, 4096, SEEK_HOLE), 4096);
	CHECK_EQ(lseek(fd, 4096, SEEK_DATA), 98304);
	CHECK_EQ(lseek(fd, 98304, SEEK_HOLE), 100001);
	CHECK_ERRNO(lseek(fd, 100001, SEEK_DATA), ENXIO);
	CHECK_ERRNO(lseek(fd, -1, SEEK_HOLE), ENXIO);
	CHECK_EQ(lseek(fd, 4, SEEK_SET), 4);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(pread(fd, buf, 16, 50000), 16);
	CHECK(!memcmp(buf, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
	CHECK_EQ(ftruncate(fd, 3), 0);
	CHECK(holds("pos", "one"));
	CHECK_EQ(ftruncate(fd, 5), 0);
	CHECK_EQ(pread(fd, buf, 16, 0), 5);
	CHECK(!memcmp(buf, "one\0\0", 5));
	CHECK_ERRNO(ftruncate(fd, -1), EINVAL);
	CHECK_ERRNO(truncate("none", 1), ENOENT);
	CHECK_ERRNO(truncate(".", 1), EISDIR);
	CHECK_EQ(truncate("pos", 1), 0);
	CHECK(holds("pos", "o"));
	CHECK_ERRNO(writev(fd, iov, -1), EINVAL);
	CHECK_ERRNO(writev(fd, iov, 1025), EINVAL);
	CHECK_EQ(fallocate(fd, 0, 0, 8192), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 8192);
	CHECK_EQ(fallocate(fd, 1, 0, 16384), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 8192);
	CHECK_EQ(pwrite(fd, "yyy", 3, 4095), 3);
	CHECK_EQ(fallocate(fd, 3, 1, 4095), 0);
	CHECK_EQ(pread(fd, buf, 4, 4094), 4);
	CHECK(!memcmp(buf, "\0\0yy", 4));
	CHECK_ERRNO(fallocate(fd, 0, -1, 1), EINVAL);
	CHECK_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
	close(fd);
}

static void links(void)
{
	struct stat a, b;
	char buf[64];
	int fd;

	section("links");
	close(make_file("f", "data"));
	CHECK_EQ(link("f", "g"), 0);
	CHECK_ERRNO(link("f", "g"), EEXIST);
	CHECK_ERRNO(link("none", "h"), ENOENT);
	CHECK_ERRNO(link(".", "h"), EPERM);
	MUST(stat("f", &a) == 0 && stat("g", &b) == 0);
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_nlink == 2);
	CHECK_EQ(unlink("f"), 0);
	CHECK(holds("g", "data"));
	CHECK_EQ(symlink("g", "s"), 0);
	CHECK_ERRNO(symlink("g", "s"), EEXIST);
	CHECK_ERRNO(symlink("", "e"), ENOENT);
	CHECK_EQ(readlink("s", buf, sizeof(buf)), 1);
	CHECK_ERRNO(readlink("g", buf, sizeof(buf)), EINVAL);
	CHECK_ERRNO(syscall(SYS_readlink, "s", buf, 0), EINVAL);
	CHECK_ERRNO(readlinkat(AT_FDCWD, "", buf, sizeof(buf)), ENOENT);
	fd = open("g", O_RDONLY);
	CHECK_ERRNO(readlinkat(fd, "", buf, sizeof(buf)), ENOENT);
	close(fd);
	fd = open("s", O_PATH | O_NOFOLLOW);
	CHECK_EQ(readlinkat(fd, "", buf, sizeof(buf)), 1);
	close(fd);
	CHECK_EQ(lstat("s", &a), 0);
	CHECK(S_ISLNK(a.st_mode) && a.st_size == 1);
	CHECK(holds("s", "data"));
	CHECK_ERRNO(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_EQ(symlink("loop", "loop"), 0);
	CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
	CHECK_ERRNO(stat("loop/x", &a), ELOOP);
	CHECK_EQ(symlink("made", "dangling"), 0);
	CHECK_ERRNO(open("dangling", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	fd = open("dangling", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	close(fd);
	CHECK_EQ(stat("made", &a), 0);
	CHECK_EQ(symlink(dir, "here"), 0);
	CHECK_EQ(stat("here/here/../", &a), 0);
	CHECK_EQ(stat("here/here/g", &a), 0);
	CHECK_EQ(lstat("here/", &a), 0);
	CHECK(S_ISDIR(a.st_mode));
	CHECK_EQ(unlink("here"), 0);
	CHECK_EQ(unlink("loop"), 0);
}

static void directories(void)
{
	char long_name[300];
	struct stat st;

	section("directories");
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(mkdir("d", 0755), EEXIST);
	CHECK_ERRNO(mkdir("d/e/f", 0755), ENOENT);
	CHECK_ERRNO(mkdir(".", 0755), EEXIST);
	CHECK_ERRNO(mkdir("/", 0755), EEXIST);
	CHECK_EQ(mkdir("d/e/", 0755), 0);
	MUST(stat("d", &st) == 0);
	CHECK_EQ(st.st_nlink, 3);
	CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
	CHECK_ERRNO(rmdir("d/."), EINVAL);
	CHECK_ERRNO(rmdir("d/e/.."), ENOTEMPTY);
	CHECK_ERRNO(rmdir("g"), ENOTDIR);
	CHECK_ERRNO(unlink("d"), EISDIR);
	CHECK_ERRNO(unlink("g/"), ENOTDIR);
	CHECK_ERRNO(unlink("none"), ENOENT);
	CHECK_ERRNO(rmdir("/"), EBUSY);
	CHECK_ERRNO(unlinkat(AT_FDCWD, "d/e", 1), EINVAL);
	CHECK_EQ(unlinkat(AT_FDCWD, "d/e", AT_REMOVEDIR), 0);
	CHECK_EQ(rmdir("d"), 0);
	memset(long_name, 'n', sizeof(long_name));
	long_name[256] = 0;
	CHECK_ERRNO(mkdir(long_name, 0755), ENAMETOOLONG);
	long_name[255] = 0;
	CHECK_EQ(mkdir(long_name, 0755), 0);
	CHECK_EQ(rmdir(long_name), 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists a directory in order, "name:type" each. */
static void list(const char *path)
{
	char *names[64];
	struct dirent *e;
	int n = 0;
	DIR *d = opendir(path);

	MUST(d);
	while ((e = readdir(d)) && n < 64) {
		names[n] = malloc(300);
		snprintf(names[n++], 300, "%s:%d", e->d_name, e->d_type);
	}
	closedir(d);
	qsort(names, n, sizeof(names[0]), by_name);
	for (int i = 0; i < n; i++) {
		printf("%s%s", i ? " " : "", names[i]);
		free(names[i]);
	}
	printf("\n");
}

static void listing(void)
{
	char name[256], buf[40];
	int n = 0, fd;
	DIR *d;

	section("getdents");
	list(".");
	CHECK_EQ(mkdir("many", 0755), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "many/entry-number-%d", i);
		close(make_file(name, ""));
	}
	d = opendir("many");
	while (readdir(d))
		n++;
	CHECK_EQ(n, 302);
	rewinddir(d);
	CHECK(readdir(d));
	long at = telldir(d);
	struct dirent *e = readdir(d);
	snprintf(name, sizeof(name), "%s", e->d_name);
	seekdir(d, at);
	CHECK(!strcmp(readdir(d)->d_name, name));
	closedir(d);
	/* Removal while the directory is being read skips no entry. */
	d = opendir("many");
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	CHECK_EQ(rmdir("many"), 0);
	fd = open(".", O_RDONLY);
	CHECK_ERRNO(syscall(SYS_getdents64, fd, buf, 10), EINVAL);
	CHECK_ERRNO(read(fd, buf, 10), EISDIR);
	close(fd);
	fd = open("g", O_RDONLY);
	CHECK_ERRNO(syscall(SYS_getdents64, fd, buf, 40), ENOTDIR);
	close(fd);
}

static void renaming(void)
{
	struct stat st;

	section("rename");
	close(make_file("r1", "1"));
	close(make_file("r2", "2"));
	CHECK_EQ(rename("r1", "r3"), 0);
	CHECK(holds("r3", "1"));
	CHECK_EQ(rename("r3", "r2"), 0);
	CHECK(holds("r2", "1"));
	CHECK_ERRNO(stat("r3", &st), ENOENT);
	CHECK_ERRNO(rename("none", "r2"), ENOENT);
	MUST(mkdir("rd", 0755) == 0 && mkdir("rd/sub", 0755) == 0 && mkdir("empty", 0755) == 0);
	CHECK_ERRNO(rename("rd", "rd/sub/x"), EINVAL);
	CHECK_ERRNO(rename("rd", "r2"), ENOTDIR);
	CHECK_ERRNO(rename("r2", "rd"), EISDIR);
	CHECK_ERRNO(rename("empty", "rd"), ENOTEMPTY);
	CHECK_ERRNO(rename("rd/sub", "rd"), ENOTEMPTY);
	CHECK_ERRNO(rename("rd/.", "x"), EBUSY);
	CHECK_ERRNO(rename("r2/", "x"), ENOTDIR);
	CHECK_EQ(rename("rd", "empty"), 0);
	CHECK_EQ(stat("empty/sub", &st), 0);
	CHECK_EQ(rename("r2", "empty/r2"), 0);
	CHECK(holds("empty/r2", "1"));
	CHECK_EQ(rename("empty/r2", "./empty/../empty/r2"), 0);
	MUST(link("empty/r2", "same") == 0);
	CHECK_EQ(rename("same", "empty/r2"), 0);
	CHECK_EQ(stat("same", &st), 0);
	close(make_file("x1", "x1"));
	CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "x1", AT_FDCWD, "same", 1), EEXIST);
	CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "x1", AT_FDCWD, "empty", 2), 0);
	CHECK(holds("empty", "x1"));
	CHECK_EQ(stat("x1/sub", &st), 0);
	CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "x1", AT_FDCWD, "none", 2), ENOENT);
	CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "x1/sub", AT_FDCWD, "x1", 2), EINVAL);
	CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "x1", AT_FDCWD, "x1/sub", 2), EINVAL);
	CHECK_ERRNO(rename("same", "/proc/x"), EXDEV);
	MUST(rmdir("x1/sub") == 0 && unlink("x1/r2") == 0 && rmdir("x1") == 0);
}

static void removed(void)
{
	char buf[4096], *p;
	struct stat st;
	int fd = make_file("gone", "still here");

	section("removed while open");
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	CHECK_EQ(unlink("gone"), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(pread(fd, buf, 16, 0), 10);
	p[0] = 'S';
	CHECK_EQ(pread(fd, buf, 16, 0), 10);
	CHECK(buf[0] == 'S');
	CHECK_EQ(write(fd, p, 10), 10); /* the source is a mapping of the page that is written */
	/* The same from a mapping that was never touched: the call itself must fault the page in. */
	char *untouched = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	MUST(untouched != MAP_FAILED);
	CHECK_EQ(pwrite(fd, untouched, 10, 20), 10);
	munmap(untouched, PAGE);
	close(fd);
	CHECK(!memcmp(p, "Still hereStill hereStill here", 30));
	munmap(p, PAGE);
	MUST(mkdir("cwd", 0755) == 0 && chdir("cwd") == 0);
	CHECK_EQ(rmdir("../cwd"), 0);
	CHECK_ERRNO(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
	CHECK_ERRNO(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	CHECK_ERRNO(mkdir("x", 0700), ENOENT);
	CHECK_EQ(chdir(".."), 0);
	CHECK(getcwd(buf, sizeof(buf)) && !strcmp(buf, dir));
	CHECK_ERRNO(syscall(SYS_getcwd, buf, 3), ERANGE);
	CHECK_ERRNO(chdir("g"), ENOTDIR);
	CHECK_ERRNO(fchdir(99), EBADF);
}

static void attributes(void)
{
	struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } }, omit[2] = { { 0, UTIME_OMIT }, { 3000, 0 } };
	struct stat st;
	int fd;

	section("attributes");
	umask(027);
	fd = open("mode", O_CREAT | O_RDWR, 0777);
	MUST(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0750);
	CHECK_EQ(umask(022), 027);
	CHECK_EQ(fchmod(fd, 04711), 0);
	MUST(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_mode, S_IFREG | 04711);
	CHECK_EQ(chmod("mode", 0600), 0);
	CHECK_ERRNO(access("mode", X_OK), EACCES);
	CHECK_EQ(access("mode", R_OK | W_OK), 0);
	CHECK_ERRNO(access("mode", 8), EINVAL);
	CHECK_ERRNO(access("none", F_OK), ENOENT);
	CHECK_EQ(utimensat(AT_FDCWD, "mode", times, 0), 0);
	MUST(fstat(fd, &st) == 0);
	CHECK(st.st_atim.tv_sec == 1000 && st.st_atim.tv_nsec == 5 && st.st_mtim.tv_sec == 2000 &&
	      st.st_mtim.tv_nsec == 7);
	CHECK_EQ(futimens(fd, omit), 0);
	MUST(fstat(fd, &st) == 0);
	CHECK(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec == 3000);
	times[0].tv_nsec = 1000000000;
	CHECK_ERRNO(utimensat(AT_FDCWD, "mode", times, 0), EINVAL);
	CHECK_EQ(fchown(fd, 5, 6), 0);
	MUST(fstat(fd, &st) == 0);
	CHECK(st.st_uid == 5 && st.st_gid == 6);
	CHECK_EQ(write(fd, "x", 1), 1);
	MUST(fstat(fd, &st) == 0);
	CHECK(st.st_mtim.tv_sec > 3000);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(fdatasync(fd), 0);
	close(fd);
	CHECK_ERRNO(fstat(fd, &st), EBADF);
	CHECK_ERRNO(syscall(SYS_stat, "mode", -4096L), EFAULT);
	CHECK_EQ(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH), 0);
	CHECK(S_ISDIR(st.st_mode));
	CHECK_ERRNO(fstatat(AT_FDCWD, "", &st, 0), ENOENT);
	CHECK_ERRNO(fstatat(AT_FDCWD, "mode", &st, 0x10000), EINVAL);
}

static void at_forms(void)
{
	int d = open(".", O_RDONLY | O_DIRECTORY), f;
	char path[32];

	section("paths from a descriptor");
	CHECK_EQ(mkdirat(d, "at", 0700), 0);
	f = openat(d, "at/file", O_CREAT | O_RDWR, 0600);
	CHECK(f >= 0);
	CHECK_ERRNO(openat(f, "x", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(openat(99, "x", O_RDONLY), EBADF);
	close(openat(99, "/tmp", O_RDONLY));
	CHECK_EQ(faccessat(d, "at/file", R_OK, 0), 0);
	CHECK_EQ(symlinkat("file", d, "at/sym"), 0);
	CHECK_EQ(linkat(d, "at/file", d, "at/hard", 0), 0);
	CHECK_EQ(renameat(d, "at/hard", d, "at/moved"), 0);
	CHECK_EQ(unlinkat(d, "at/moved", 0), 0);
	CHECK_EQ(unlinkat(d, "at/sym", 0), 0);
	CHECK_EQ(unlinkat(d, "at/file", 0), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	CHECK_ERRNO(linkat(AT_FDCWD, path, d, "at/again", AT_SYMLINK_FOLLOW), ENOENT);
	CHECK_EQ(unlinkat(d, "at", AT_REMOVEDIR), 0);
	close(f);
	close(d);
}

static int child_lock(void *arg)
{
	int fd = open(arg, O_RDWR);

	return flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK ? 7 : 8;
}

static void locking(void)
{
	int fd = make_file("lock", "");

	section("flock");
	CHECK_EQ(flock(fd, LOCK_SH), 0);
	CHECK(exited_with(run_child(child_lock, "lock"), 7));
	CHECK_EQ(flock(fd, LOCK_EX), 0);
	CHECK(exited_with(run_child(child_lock, "lock"), 7));
	CHECK_EQ(flock(fd, LOCK_UN), 0);
	CHECK(exited_with(run_child(child_lock, "lock"), 8));
	CHECK_ERRNO(flock(fd, 0), EINVAL);
	CHECK_ERRNO(flock(99, LOCK_EX), EBADF);
	close(fd);
}

static void sending(void)
{
	int in = make_file("in", "0123456789"), out = make_file("out", "");
	off_t at = 3;

	section("sendfile");
	CHECK_EQ(sendfile(out, in, &at, 4), 4);
	CHECK_EQ(at, 7);
	CHECK(holds("out", "3456"));
	CHECK_EQ(lseek(in, 0, SEEK_SET), 0);
	CHECK_EQ(sendfile(out, in, NULL, 100), 10);
	CHECK_EQ(sendfile(out, in, NULL, 100), 0);
	CHECK(holds("out", "34560123456789"));
	CHECK_ERRNO(sendfile(out, 99, NULL, 1), EBADF);
	close(in);
	close(out);
}

#define MUCH (64UL << 20)

static int write_much(void *out)
{
	char *zeros = map_pages(MUCH / PAGE, PROT_READ);

	return write(*(int *)out, zeros, MUCH) == (long)MUCH;
}

static int send_much(void *out)
{
	int in = memfd_create("in", 0);

	MUST(in >= 0 && ftruncate(in, MUCH) == 0);
	return sendfile(*(int *)out, in, NULL, MUCH) == (long)MUCH;
}

/* Kills a child as soon as it has written something. Tries again if the call was faster. */
static bool is_cut_short(int (*move)(void *out))
{
	struct stat st = { 0 };

	for (int tries = 0; tries < 20; tries++) {
		int out = memfd_create("out", 0);
		pid_t pid = start_child(move, &out);

		do
			MUST(fstat(out, &st) == 0);
		while (st.st_size == 0);
		MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid && fstat(out, &st) == 0);
		close(out);
		if ((size_t)st.st_size < MUCH)
			return true;
	}
	return false;
}

static void killing(void)
{
	section("a kill ends a long call");
	CHECK(is_cut_short(write_much));
	CHECK(is_cut_short(send_much));
}

static void devices(void)
{
	char buf[64];
	struct stat st;
	int fd = open("/dev/null", O_RDWR);

	section("devices");
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(read(fd, buf, 1), 0);
	MUST(fstat(fd, &st) == 0);
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == 0x103);
	CHECK_EQ(lseek(fd, 5, SEEK_SET), 0);
	CHECK(!isatty(fd));
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(read(fd, buf, 64), 64);
	CHECK(!buf[0] && !buf[63]);
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	p[5] = 1;
	CHECK(p[0] == 0 && p[5] == 1);
	munmap(p, PAGE);
	close(fd);
	fd = open("/dev/full", O_RDWR);
	CHECK_ERRNO(write(fd, "x", 1), ENOSPC);
	close(fd);
	fd = open("/dev/urandom", O_RDONLY);
	CHECK_EQ(read(fd, buf, 64), 64);
	CHECK(memcmp(buf, buf + 32, 32) != 0);
	close(fd);
}

int main(void)
{
	char *all[] = { "a", "pos", "g", "s", "dangling", "made", "same", "empty", "mode", "lock", "in", "out" };

	MUST(mkdtemp(dir) && chdir(dir) == 0);
	opening();
	positions();
	links();
	directories();
	listing();
	renaming();
	removed();
	attributes();
	at_forms();
	locking();
	sending();
	killing();
	devices();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		CHECK_EQ(unlink(all[i]), 0);
	CHECK_EQ(rmdir(dir), 0);
	return check_done();
}
