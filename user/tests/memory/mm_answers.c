/* SPDX-License-Identifier: MIT */
/*
 * Prints the result of every memory call with every kind of argument that it distinguishes.
 *
 * Nothing is checked here: the output is compared with Linux's. Calls that would succeed are made on memory of their
 * own.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define FILE_PAGES 8
#define USER_END 0x7ffffffff000UL
#define DONTUNMAP 4
#define VALIDATE 3

static const char *answer(long result)
{
	static char text[64];

	if (result != -1)
		return "done";
	snprintf(text, sizeof(text), "errno %d", errno);
	return text;
}

#define SHOW(call) (errno = 0, printf("%s: %s\n", #call, answer((long)(call))))

static long map(void *addr, size_t len, int prot, int flags, int fd, long offset)
{
	return syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static long remap(void *old, size_t old_len, size_t new_len, int flags, void *new)
{
	return syscall(SYS_mremap, old, old_len, new_len, flags, new);
}

/* Prints which of nr pages from p on are mapped, with their rights and VmFlags, from /proc/self/smaps. */
static void show_layout(char *p, size_t nr)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long start, end, from = (unsigned long)p, to = from + nr * PAGE;
	char line[512], rights[8];
	bool inside = false;

	MUST(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3) {
			inside = start < to && end > from;
			if (inside)
				printf("    %ld to %ld %s", start < from ? -1L : (long)((start - from) / PAGE),
				       end > to ? -1L : (long)((end - from) / PAGE), rights);
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			printf("%s", line + 8);
		}
	}
	fclose(file);
}

/* ---- Kinds of memory --------------------------------------------------------------------------------------------- */

static int memfd, file, zero;

enum kind {
	PRIVATE,
	SHARED,
	SHARED_MEMFD,
	PRIVATE_MEMFD,
	READ_ONLY_MEMFD,
	SHARED_FILE,
	LOCKED,
	NO_RIGHTS,
	HOLE,
	PRIVATE_ZERO,
	SHARED_ZERO,
	NR_KINDS
};

static const char *const kind_names[NR_KINDS] = {
	"private", "shared",	"shared memfd", "private memfd",       "read-only memfd",    "shared file",
	"locked",  "no rights", "with a hole",	"private zero device", "shared zero device",
};

/* Maps eight pages of that kind, inside a PROT_NONE reservation. */
static char *make(enum kind kind)
{
	static const struct {
		int prot, flags;
		const int *fd;
	} forms[NR_KINDS] = {
		[PRIVATE] = { RW, ANON, NULL },
		[SHARED] = { RW, MAP_SHARED | MAP_ANONYMOUS, NULL },
		[SHARED_MEMFD] = { RW, MAP_SHARED, &memfd },
		[PRIVATE_MEMFD] = { RW, MAP_PRIVATE, &memfd },
		[READ_ONLY_MEMFD] = { PROT_READ, MAP_SHARED, &memfd },
		[SHARED_FILE] = { RW, MAP_SHARED, &file },
		[LOCKED] = { RW, ANON, NULL },
		[NO_RIGHTS] = { PROT_NONE, ANON, NULL },
		[HOLE] = { RW, ANON, NULL },
		[PRIVATE_ZERO] = { RW, MAP_PRIVATE, &zero },
		[SHARED_ZERO] = { RW, MAP_SHARED, &zero },
	};
	char *p = map_island(FILE_PAGES, PROT_NONE);

	MUST(mmap(p, FILE_PAGES * PAGE, forms[kind].prot, forms[kind].flags | MAP_FIXED,
		  forms[kind].fd ? *forms[kind].fd : -1, 0) == p);
	if (forms[kind].prot & PROT_WRITE)
		memset(p, 1, FILE_PAGES * PAGE);
	if (kind == LOCKED)
		MUST(mlock(p, FILE_PAGES * PAGE) == 0);
	if (kind == HOLE)
		MUST(munmap(p + 3 * PAGE, 2 * PAGE) == 0);
	return p;
}

static void release(char *p)
{
	MUST(munmap(p - 16 * PAGE, (FILE_PAGES + 32) * PAGE) == 0);
}

/* ---- The calls --------------------------------------------------------------------------------------------------- */

static void advice_for(enum kind kind)
{
	printf("== madvise of %s memory\n", kind_names[kind]);
	for (int advice = -1; advice <= 25; advice++) {
		char *p = make(kind);

		printf("advice %d: ", advice);
		errno = 0;
		printf("%s\n", answer(madvise(p + PAGE, 6 * PAGE, advice)));
		show_layout(p, FILE_PAGES);
		if (kind != HOLE && kind != NO_RIGHTS)
			printf("    contents %d %d\n", peek(p), peek(p + 2 * PAGE));
		release(p);
	}
}

static void bad_ranges(int advice)
{
	char *p = map_island(2, RW);

	printf("== madvise %d of bad ranges\n", advice);
	SHOW(madvise(p + 1, PAGE, advice));
	SHOW(madvise(p + 1, 0, advice));
	SHOW(madvise(p, 0, advice));
	SHOW(madvise(p, 1, advice));
	SHOW(madvise(p, -1UL, advice));
	SHOW(madvise(p, -PAGE, advice));
	SHOW(madvise(NULL, PAGE, advice));
	SHOW(madvise((void *)USER_END, PAGE, advice));
	SHOW(madvise((void *)-PAGE, PAGE, advice));
	munmap(p - 16 * PAGE, 34 * PAGE);
}

/* Tries to map each kind of descriptor in every way, and to change the rights of the mapping afterwards. */
static void descriptors(const char *path)
{
	int pipes[2], fds[8] = { open(path, O_RDWR),
				 open(path, O_RDONLY),
				 open(path, O_WRONLY),
				 open("/tmp", O_RDONLY),
				 zero,
				 memfd,
				 -1,
				 -1 };

	MUST(pipe(pipes) == 0);
	fds[6] = pipes[0];
	section("mmap of descriptors");
	for (int i = 0; i < 8; i++)
		for (int type = MAP_SHARED; type <= VALIDATE; type++)
			for (int prot = 0; prot < 8; prot++) {
				char *p = (char *)map(NULL, PAGE, prot, type, fds[i], 0);

				printf("descriptor %d type %d rights %d: %s", i, type, prot, answer((long)p));
				for (int other = 0; p != (char *)-1 && other < 8; other++)
					printf(" %d", mprotect(p, PAGE, other) ? errno : 0);
				printf("\n");
				if (p != (char *)-1)
					munmap(p, PAGE);
			}
	close(pipes[0]), close(pipes[1]);
	close(fds[0]), close(fds[1]), close(fds[2]), close(fds[3]);
}

static void absurd_mmap(void)
{
	section("impossible mmap calls");
	SHOW(map(NULL, PAGE, RW, MAP_PRIVATE, file, 1));
	SHOW(map(NULL, 0, RW, MAP_PRIVATE, 999, 0));
	SHOW(map(NULL, PAGE, RW, 0, file, 0));
	SHOW(map(NULL, PAGE, RW, MAP_PRIVATE, file, 0x7ffffffffffff000));
	SHOW(map(NULL, 2 * PAGE, RW, MAP_PRIVATE, file, -4096));
	SHOW(map(NULL, PAGE, RW, MAP_SHARED, zero, 0x7ffffffffffff000));
	SHOW(map(NULL, 2 * PAGE, RW, ANON, -1, -4096));
	SHOW(map(NULL, PAGE, RW, VALIDATE | MAP_ANONYMOUS, -1, 0));
	SHOW(map(NULL, PAGE, RW, VALIDATE | 0x80000, memfd, 0));
	SHOW(map(NULL, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, memfd, 0));
	SHOW(map(NULL, PAGE, RW, MAP_SHARED | MAP_GROWSDOWN | MAP_ANONYMOUS, -1, 0));
	SHOW(map(NULL, PAGE, RW, 8 | MAP_GROWSDOWN | MAP_ANONYMOUS, -1, 0));
	SHOW(map(NULL, PAGE, RW, 8 | MAP_LOCKED | MAP_ANONYMOUS, -1, 0));
	SHOW(map(NULL, PAGE, RW, 8, memfd, 0));
}

static void remap_arguments(void)
{
	char *p = map_island(8, RW), *q = map_island(8, RW);

	section("mremap");
	SHOW(remap(p + 1, PAGE, PAGE, 0, NULL));
	SHOW(remap(p, PAGE, 0, 0, NULL));
	SHOW(remap(p, 0, PAGE, MREMAP_MAYMOVE, NULL));
	SHOW(remap(p, PAGE, PAGE, 8, NULL));
	SHOW(remap(p, PAGE, PAGE, MREMAP_FIXED, q));
	SHOW(remap(p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, q + 1));
	SHOW(remap(p, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, p + PAGE));
	SHOW(remap(p, PAGE, 2 * PAGE, DONTUNMAP | MREMAP_MAYMOVE, NULL));
	SHOW(remap(p, PAGE, PAGE, DONTUNMAP, NULL));
	SHOW(remap(p, PAGE, -1UL, MREMAP_MAYMOVE, NULL));
	SHOW(remap(p, -PAGE, PAGE, MREMAP_MAYMOVE, NULL));
	SHOW(remap(p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, (void *)USER_END));
	SHOW(remap((void *)USER_END, PAGE, PAGE, 0, NULL));
	SHOW(remap(p, 8 * PAGE, 50 * PAGE, 0, NULL));
	SHOW(remap(p, 50 * PAGE, 60 * PAGE, MREMAP_MAYMOVE, NULL));
	SHOW(remap(p, 9 * PAGE, 9 * PAGE, 0, NULL));
	munmap(p - 16 * PAGE, 40 * PAGE), munmap(q - 16 * PAGE, 40 * PAGE);
}

/* The source stays mapped, but empty. All of its VMA is unlocked, beyond the part that moved too. */
static void remap_and_keep(void)
{
	for (int kind = PRIVATE; kind < HOLE; kind++) {
		char *p = make(kind),
		     *q = (char *)remap(p + 2 * PAGE, 4 * PAGE, 4 * PAGE, DONTUNMAP | MREMAP_MAYMOVE, NULL);

		printf("keeping the source, %s: %s\n", kind_names[kind], answer((long)q));
		show_layout(p, FILE_PAGES);
		if (kind != NO_RIGHTS && q != (char *)-1)
			printf("    contents %d %d %d\n", peek(p), peek(p + 3 * PAGE), peek(q));
		if (q != (char *)-1)
			munmap(q, 4 * PAGE);
		release(p);
	}
}

/* The destination adjoins the source on one side, and another mapping on the other. */
static void remap_beside(void)
{
	for (int form = 0; form < 8; form++) {
		char *p = map_island(24, RW);
		int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (form & 1 ? DONTUNMAP : 0);

		MUST(munmap(p + 8 * PAGE, 8 * PAGE) == 0);
		if (form & 2)
			poke(p, 1), poke(p + 16 * PAGE, 2);
		else
			(void)peek(p + 17 * PAGE);
		printf("beside, form %d: ", form);
		printf("%s\n", answer(remap(p + (form & 4 ? 0 : 16) * PAGE, 8 * PAGE, 8 * PAGE, flags, p + 8 * PAGE)));
		show_layout(p, 24);
		printf("    contents %d %d\n", peek(p + 8 * PAGE), peek(p + 9 * PAGE));
		munmap(p - 16 * PAGE, 56 * PAGE);
	}
}

static void sync_and_look(void)
{
	static const int flags[] = { MS_INVALIDATE,
				     MS_SYNC | MS_INVALIDATE,
				     MS_ASYNC | MS_INVALIDATE,
				     MS_SYNC,
				     MS_ASYNC,
				     0,
				     MS_SYNC | MS_ASYNC,
				     8 };
	unsigned char vec[64];
	char *p = make(SHARED_MEMFD);

	section("msync, mincore");
	MUST(mlock(p, PAGE) == 0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		printf("flags %d: ", flags[i]);
		printf("%s, ", answer(msync(p, 4 * PAGE, flags[i])));
		printf("%s, ", answer(msync(p + PAGE, 4 * PAGE, flags[i])));
		printf("%s, ", answer(msync(p + PAGE, 40 * PAGE, flags[i])));
		printf("%s, ", answer(msync(p + 1, PAGE, flags[i])));
		printf("%s, ", answer(msync(p, -1UL, flags[i])));
		printf("%s\n", answer(msync(NULL, PAGE, flags[i])));
	}
	SHOW(mincore(p + 1, PAGE, vec));
	SHOW(mincore(p, PAGE, NULL));
	SHOW(mincore(p, 0, NULL));
	SHOW(mincore(p, -1UL, vec));
	SHOW(mincore(NULL, PAGE, vec));
	SHOW(mincore((void *)USER_END, PAGE, vec));
	SHOW(mincore(p, 40 * PAGE, vec));
	MUST(munlock(p, PAGE) == 0);
	release(p);
}

/* A soft limit of 0 for data means the hard one. */
static void data_limit(void)
{
	struct rlimit limit, old;

	section("RLIMIT_DATA");
	MUST(getrlimit(RLIMIT_DATA, &old) == 0);
	limit = (struct rlimit){ PAGE, old.rlim_max };
	MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
	SHOW(map(NULL, PAGE, RW, ANON, -1, 0));
	SHOW(map(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	SHOW(map(NULL, PAGE, PROT_READ, ANON, -1, 0));
	limit.rlim_cur = 0;
	MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
	SHOW(map(NULL, PAGE, RW, ANON, -1, 0));
	MUST(setrlimit(RLIMIT_DATA, &old) == 0);
}

int main(void)
{
	static const int some_advice[] = { 0, 4, 8, 10, 12, 18, 20, 22, 24, 25, 26, -1 };
	char path[] = "/tmp/mm_answers.XXXXXX";

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	file = mkstemp(path);
	memfd = memfd_create("answers", 0);
	zero = open("/dev/zero", O_RDWR);
	MUST(file >= 0 && memfd >= 0 && zero >= 0);
	MUST(ftruncate(file, FILE_PAGES * PAGE) == 0 && ftruncate(memfd, FILE_PAGES * PAGE) == 0);
	for (int kind = 0; kind < NR_KINDS; kind++)
		advice_for(kind);
	for (size_t i = 0; i < sizeof(some_advice) / sizeof(some_advice[0]); i++)
		bad_ranges(some_advice[i]);
	descriptors(path);
	absurd_mmap();
	remap_arguments();
	remap_and_keep();
	remap_beside();
	sync_and_look();
	data_limit();
	unlink(path);
	return 0;
}
