/* SPDX-License-Identifier: MIT */
/*
 * Tests file mappings of this program's own file and text, private and shared.
 *
 * Includes copy-on-write of a private file page, and SIGBUS beyond the end of the file.
 */
#include "user/lib/check.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

static char *file_pages;
static size_t file_size;
static int fd;

static void own_file(void)
{
	char head[PAGE];
	struct stat st;

	section("this program's file, mapped private and read-only");
	fd = open("/proc/self/exe", O_RDONLY);
	CHECK(fd >= 0);
	MUST(fstat(fd, &st) == 0);
	file_size = st.st_size;
	file_pages = mmap(NULL, file_size, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(file_pages != MAP_FAILED);
	MUST(pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head));
	CHECK(memcmp(file_pages, ELFMAG, SELFMAG) == 0);
	CHECK(memcmp(file_pages, head, sizeof(head)) == 0);
	MUST(pread(fd, head, sizeof(head), 3 * PAGE) == (ssize_t)sizeof(head));
	CHECK(memcmp(file_pages + 3 * PAGE, head, sizeof(head)) == 0);
	CHECK(CATCH(poke(file_pages, 1)) == SIGSEGV && caught.code == SEGV_ACCERR);
	CHECK_THAT("the tail of the last page is zero",
		   file_size % PAGE == 0 || file_pages[file_size | (PAGE - 1)] == 0);
}

static int scribble(void *arg)
{
	char *p = arg;

	poke(p, 'C');
	return p[0] == 'C' ? 0 : 1;
}

static void private_copy(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	section("writes to a private mapping stay private");
	CHECK(p != MAP_FAILED);
	CHECK_EQ(p[0], ELFMAG0);
	CHECK_EQ(run_child(scribble, p), 0);
	CHECK_EQ(p[0], ELFMAG0);
	poke(p, 'P');
	CHECK(p[0] == 'P' && p[1] == ELFMAG1 && file_pages[0] == ELFMAG0);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	CHECK_THAT("MADV_DONTNEED brings the file's page back", p[0] == ELFMAG0);
	munmap(p, 2 * PAGE);
}

static void offset(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);

	section("an offset");
	CHECK(p != MAP_FAILED);
	CHECK(memcmp(p, file_pages + 2 * PAGE, PAGE) == 0);
	munmap(p, PAGE);
	CHECK_ERRNO(syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
}

static void beyond(void)
{
	size_t end = (file_size + PAGE - 1) & -PAGE;
	char *p = mmap(NULL, end + 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	section("behind the end of the file");
	CHECK(p != MAP_FAILED);
	CHECK_EQ(CATCH(peek(p + end - 1)), 0);
	CHECK_EQ(CATCH(peek(p + end)), SIGBUS);
	CHECK(caught.code == BUS_ADRERR && caught_at(p + end));
	munmap(p, end + 4 * PAGE);
}

static void own_text(void)
{
	char *text = (char *)((uintptr_t)own_text & -PAGE);
	char before = *text;

	section("this program's text");
	CHECK(CATCH(poke(text, 1)) == SIGSEGV && caught.code == SEGV_ACCERR && caught_at(text));
	CHECK_EQ(mprotect(text, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	CHECK(CATCH(poke(text, before)) == 0 && *text == before);
	CHECK_EQ(mprotect(text, PAGE, PROT_READ | PROT_EXEC), 0);
	CHECK_EQ(CATCH(poke(text, 1)), SIGSEGV);
}

int main(void)
{
	catch_faults(0);
	own_file();
	private_copy();
	offset();
	beyond();
	own_text();
	return check_done();
}
