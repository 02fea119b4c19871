/* SPDX-License-Identifier: MIT */
/*
 * Prints /proc/self/maps and /proc/self/smaps after scripted changes.
 *
 * The lines show which neighbours merge, where calls split mappings, and the counts and flags of each mapping. The
 * scripts work in an arena at a fixed address, so the text is the same as on Linux, except for what depends on the
 * machine (device and inode, soft-dirty tracking, protection keys, same-page merging), and for the row LazyFree, which
 * Linux updates late.
 */
#include "user/lib/check.h"
#include "user/lib/text.h"

#include <fcntl.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define ARENA ((char *)0x10000010000) /* not aligned to a huge page */
#define SPAN 64

static char *at(int page)
{
	return ARENA + (long)page * (long)PAGE;
}

/* --- output ----------------------------------------------------------------------------------------------------- */

static bool is_header(const char *line)
{
	return strchr("0123456789abcdef", line[0]) && strchr(line, '-');
}

/* Prints "10000010000-10000020000 rw-p 00000000 DEVICE INODE NAME" without device and inode. */
static void print_header(const char *line)
{
	unsigned long start, end, offset;
	char perms[8];
	int name = 0;

	MUST(sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &start, &end, perms, &offset, &name) == 4);
	printf("%lx-%lx %s %08lx %s\n", start, end, perms, offset, name ? line + name : "");
}

static bool in_arena(const char *line)
{
	unsigned long start = strtoul(line, NULL, 16);

	return start >= (unsigned long)ARENA && start < (unsigned long)at(SPAN);
}

/* Leaves out "sd", which Linux without soft-dirty tracking does not have. On x86 "mw" and the like are always there. */
static void print_flags(char *line)
{
	char *rest, *word;

	for (word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		if (strcmp(word, "sd") != 0)
			printf("%s ", word);
	printf("\n");
}

static void print_row(char *line)
{
	if (!strncmp(line, "VmFlags:", 8))
		print_flags(line);
	else if (strncmp(line, "KSM:", 4) && strncmp(line, "ProtectionKey:", 14) && strncmp(line, "LazyFree:", 9))
		printf("%s\n", line);
}

static char *slurp(const char *path)
{
	static char text[1 << 17];

	MUST(read_text(path, text, sizeof(text)) >= 0);
	return text;
}

static void show_file(const char *path)
{
	bool shown = false;
	char *rest;

	for (char *line = strtok_r(slurp(path), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (is_header(line) && (shown = in_arena(line)))
			print_header(line);
		else if (!is_header(line) && shown)
			print_row(line);
	}
	fflush(stdout);
}

/* Prints the mappings alone. */
static void show(const char *what)
{
	printf("-- %s\n", what);
	show_file("/proc/self/maps");
}

/* Prints the mappings with all their counts. */
static void show_all(const char *what)
{
	printf("-- %s\n", what);
	show_file("/proc/self/smaps");
}

/* --- changes ---------------------------------------------------------------------------------------------------- */

static void map(int first, int nr, int prot, int flags)
{
	MUST(mmap(at(first), nr * PAGE, prot, ANON | MAP_FIXED | flags, -1, 0) == at(first));
}

static void map_shared(int first, int nr)
{
	MUST(mmap(at(first), nr * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at(first));
}

static void map_file(int first, int nr, int prot, int flags, int fd, int page)
{
	MUST(mmap(at(first), nr * PAGE, prot, flags | MAP_FIXED, fd, page * PAGE) == at(first));
}

static void protect(int first, int nr, int prot)
{
	MUST(mprotect(at(first), nr * PAGE, prot) == 0);
}

static void advise(int first, int nr, int advice)
{
	MUST(madvise(at(first), nr * PAGE, advice) == 0);
}

static void write_pages(int first, int nr)
{
	for (int i = first; i < first + nr; i++)
		poke(at(i), i + 1);
}

static void read_pages(int first, int nr)
{
	for (int i = first; i < first + nr; i++)
		peek(at(i));
}

static void begin(const char *name)
{
	section(name);
	munmap(at(0), SPAN * PAGE);
}

/* Returns a memfd of that name with nr pages, written by write(). */
static int new_file(const char *name, int nr)
{
	static const char text[PAGE] = "text";
	int fd = memfd_create(name, 0);

	MUST(fd >= 0);
	for (int i = 0; i < nr; i++)
		MUST(write(fd, text, PAGE) == PAGE);
	return fd;
}

static void in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	MUST(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

/* --- scripts ---------------------------------------------------------------------------------------------------- */

static void merging(void)
{
	begin("neighbours merge");
	map(10, 2, RW, 0);
	map(12, 2, RW, 0);
	show("two equal ones");
	map(16, 2, RW, 0);
	map(14, 2, RW, 0);
	show("the gap filled");
	map(18, 2, PROT_READ, 0);
	map(20, 2, PROT_READ | PROT_EXEC, 0);
	map(22, 2, PROT_NONE, 0);
	map(24, 2, RW, MAP_NORESERVE);
	map(26, 2, RW, MAP_STACK);
	show_all("other rights don't");
	map(12, 1, PROT_READ, 0);
	show("MAP_FIXED into the middle");
}

static void splitting(void)
{
	begin("mprotect, munmap and madvise split and merge again");
	map(0, 16, RW, 0);
	protect(4, 4, PROT_READ);
	show("middle read-only");
	protect(2, 4, PROT_NONE);
	show("across the border");
	protect(0, 16, RW);
	show("all equal again");
	MUST(munmap(at(7), 2 * PAGE) == 0);
	show("hole");
	map(7, 2, RW, 0);
	show("hole filled");
	protect(0, 4, PROT_READ);
	protect(4, 4, PROT_READ);
	show("two steps");
	protect(8, 8, PROT_READ);
	show("three");
	advise(4, 4, MADV_DONTFORK);
	show_all("flags split as well");
	advise(4, 4, MADV_DOFORK);
	show("and merge");
	advise(0, 16, MADV_DONTNEED);
	show("advice without a flag doesn't split");
}

static void touching(void)
{
	begin("touched memory");
	map(0, 8, RW, 0);
	read_pages(0, 2);
	show_all("read: the zero page is not counted");
	write_pages(1, 3);
	show_all("written");
	map(8, 4, RW, 0);
	write_pages(9, 1);
	show("written on both sides of a border");
	protect(2, 4, PROT_READ);
	show_all("split");
	protect(2, 4, RW);
	show_all("merged");
	advise(0, 3, MADV_DONTNEED);
	show_all("forgotten");
}

static void moving(void)
{
	begin("mremap");
	map(0, 8, RW, 0);
	write_pages(3, 1);
	MUST(mremap(at(2), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(20)) == at(20));
	show_all("middle moved out");
	MUST(mremap(at(20), 2 * PAGE, 6 * PAGE, 0) == at(20));
	show("grown in place");
	MUST(mremap(at(20), 6 * PAGE, PAGE, 0) == at(20));
	show("shrunk");
	MUST(mremap(at(20), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(2)) == at(2));
	show("moved back, untouched");
	MUST(mremap(at(4), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4 /* DONTUNMAP */, at(30)) == at(30));
	show_all("moved, leaving the mapping");
}

static void child_of_fork(void)
{
	show_all("child");
	write_pages(1, 1);
	read_pages(0, 1);
	show_all("child has written one page");
}

static void forking(void)
{
	begin("fork");
	map(0, 4, RW, 0);
	write_pages(0, 3);
	map(8, 2, RW, 0);
	write_pages(8, 2);
	advise(8, 2, MADV_DONTFORK);
	map(12, 2, RW, 0);
	write_pages(12, 2);
	advise(12, 2, MADV_WIPEONFORK);
	map_shared(16, 4);
	write_pages(16, 2);
	in_child(child_of_fork);
	show_all("parent afterwards");
}

static void shared_memory(void)
{
	begin("shared anonymous memory");
	map_shared(0, 4);
	show_all("untouched");
	read_pages(0, 1);
	write_pages(1, 1);
	show_all("one page read, one written");
	protect(1, 2, PROT_READ);
	show("split: the offsets go on");
	protect(1, 2, RW);
	show("merged");
}

static void shared_file(void)
{
	int fd = new_file("layout-shared", 8);

	begin("a file, shared");
	map_file(0, 12, RW, MAP_SHARED, fd, 0);
	show_all("untouched");
	write_pages(0, 8);
	show_all("written");
	map_file(20, 4, PROT_READ, MAP_SHARED, fd, 2);
	MUST(mmap(at(30), 8 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == at(30));
	show_all("mapped twice more, once populated");
	MUST(munmap(at(30), 8 * PAGE) == 0);
	MUST(ftruncate(fd, 3 * PAGE) == 0);
	show_all("truncated to 3 pages");
	MUST(fallocate(fd, 3, PAGE, PAGE) == 0);
	show_all("with a hole");
	close(fd);
}

static void private_file(void)
{
	int fd = new_file("layout-private", 8);

	begin("a file, mapped privately");
	map_file(0, 8, RW, MAP_PRIVATE, fd, 0);
	write_pages(2, 2);
	advise(0, 1, MADV_NORMAL);
	show_all("two pages copied");
	protect(4, 2, PROT_READ | PROT_EXEC);
	show("split");
	map_file(8, 4, RW, MAP_PRIVATE, fd, 8);
	show("the next part of the file behind it");
	map_file(12, 2, RW, MAP_PRIVATE, fd, 3);
	show("another part behind that");
	MUST(ftruncate(fd, 3 * PAGE) == 0);
	show_all("truncated: copies go as well");
	close(fd);
}

static void cached_file(void)
{
	int fd = new_file("layout-cached", 40);

	begin("cached pages around a fault");
	map_file(1, 40, PROT_READ, MAP_SHARED, fd, 0);
	read_pages(10, 1);
	show_all("one page read");
	advise(1, 40, MADV_DONTNEED);
	advise(1, 40, MADV_RANDOM);
	read_pages(10, 1);
	show_all("one page read at random");
	close(fd);
}

static void locking(void)
{
	begin("locked memory");
	map(0, 8, RW, 0);
	MUST(mlock(at(2), 2 * PAGE) == 0);
	show_all("two pages of eight");
	MUST(mlock2(at(4), 2 * PAGE, MLOCK_ONFAULT) == 0);
	write_pages(4, 1);
	show_all("two more on fault");
	MUST(munlock(at(3), 2 * PAGE) == 0);
	show("the middle unlocked");
	MUST(munlock(at(0), 8 * PAGE) == 0);
	show_all("all unlocked");
	map(10, 2, RW, MAP_LOCKED);
	map(14, 2, RW, MAP_POPULATE);
	show_all("mapped locked, mapped populated");
	MUST(munlock(at(10), 2 * PAGE) == 0);
}

static void advising(void)
{
	static const int advices[] = { MADV_RANDOM,   MADV_SEQUENTIAL, MADV_DONTFORK, MADV_WIPEONFORK,
				       MADV_DONTDUMP, MADV_DONTDUMP,   MADV_NORMAL };

	begin("advice");
	map(0, 16, RW, 0);
	for (int i = 0; i < 7; i++)
		advise(2 * i, 2, advices[i]);
	show_all("flags of all kinds");
	advise(0, 16, MADV_NORMAL);
	advise(0, 16, MADV_DOFORK);
	advise(0, 16, MADV_KEEPONFORK);
	advise(0, 16, MADV_DODUMP);
	show_all("and gone");
	write_pages(0, 4);
	advise(1, 2, MADV_FREE);
	show_all("two pages freed");
	write_pages(1, 1);
	show_all("one of them written again");
}

static void growing(void)
{
	begin("a mapping that grows down");
	map(20, 2, RW, MAP_GROWSDOWN);
	write_pages(21, 1);
	show_all("as mapped");
	write_pages(16, 1);
	show_all("grown");
}

/* Prints the rights and flags of the program's own heap and stack, whose sizes depend on the program. */
static void own_mappings(void)
{
	bool shown = false;
	char *rest;

	section("heap and stack");
	MUST(syscall(SYS_brk, syscall(SYS_brk, 0) + PAGE) > 0);
	for (char *line = strtok_r(slurp("/proc/self/smaps"), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (is_header(line)) {
			char *name = strchr(line, '[');

			shown = name && (!strcmp(name, "[heap]") || !strcmp(name, "[stack]"));
			if (shown)
				printf("%.5s %s\n", strchr(line, ' ') + 1, name);
		} else if (shown && !strncmp(line, "VmFlags:", 8)) {
			print_flags(line);
		}
	}
}

int main(void)
{
	merging();
	splitting();
	touching();
	moving();
	forking();
	shared_memory();
	shared_file();
	private_file();
	cached_file();
	locking();
	advising();
	growing();
	own_mappings();
	return 0;
}
