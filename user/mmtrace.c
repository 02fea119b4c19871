/* SPDX-License-Identifier: MIT */
/*
 * Random calls of the mmap family in a small arena, absurd ones among them, and after each call what /proc/self/maps
 * shows of the arena. All of it goes into one digest: the same digest as Linux's means the same answers, errno by errno,
 * the same contents, and the same splits and merges, call by call. Now and then a forked child goes on by itself.
 *
 *	mmtrace SEED STEPS		prints the digest
 *	mmtrace SEED STEPS trace	prints every call and the maps, to be compared by diff
 *
 * Left out is what Linux decides by the memory it has (MADV_PAGEOUT) and where it puts what is not told a place.
 */
#include "user/check.h"

#include <fcntl.h>
#include <stdarg.h>

#define ARENA 0x10000000000UL
#define NR_PAGES 64UL
#define MARGIN 0x1000000UL /* calls may reach out of the arena by so much */
#define FILE_PAGES 16

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define NOREPLACE 0x100000

static bool trace;
static uint64_t state, digest = 0xcbf29ce484222325;
static int file = -1, maps = -1;
static sigjmp_buf after_fault;
static volatile long fault_code;

/* ---- Random numbers, and the record ------------------------------------------------------------------------------ */

static uint32_t below(uint32_t bound)
{
	state ^= state << 13; /* xorshift64, Marsaglia 2003 */
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % bound;
}

static bool once_in(uint32_t n)
{
	return below(n) == 0;
}

__attribute__((format(printf, 1, 2))) static void record(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (const char *c = text; *c; c++)
		digest = (digest ^ (unsigned char)*c) * 0x100000001b3; /* FNV-1a */
	if (trace)
		fputs(text, stdout);
}

/* An address of the arena as its offset, everything else as it is. */
static long shown(long result)
{
	return result > 0 && (unsigned long)result >= ARENA ? result - (long)ARENA : result;
}

#define CALL(number, ...)                                                                                              \
	({                                                                                                             \
		long _result = syscall(number, __VA_ARGS__);                                                           \
		_result == -1 ? -errno : _result;                                                                      \
	})

static void record_mapping(const char *line)
{
	unsigned long start, end, offset;
	char rights[5];

	if (sscanf(line, "%lx-%lx %4s %lx", &start, &end, rights, &offset) != 4)
		return;
	if (start < ARENA - MARGIN || end > ARENA + NR_PAGES * PAGE + MARGIN)
		return;
	record("   %ld-%ld %s %lx\n", (long)(start - ARENA) / (long)PAGE, (long)(end - ARENA) / (long)PAGE, rights,
	       rights[3] == 's' ? offset : 0); /* of private memory nobody promises an offset */
}

static void record_maps(void)
{
	static char text[1 << 18];
	size_t len = 0;
	ssize_t n;

	lseek(maps, 0, SEEK_SET);
	while ((n = read(maps, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	for (char *line = text, *next; (next = strchr(line, '\n')); line = next + 1)
		record_mapping(line);
}

/* ---- Accesses ---------------------------------------------------------------------------------------------------- */

static void on_fault(int signo, siginfo_t *info, void *context)
{
	(void)context;
	fault_code = signo * 10 + info->si_code;
	siglongjmp(after_fault, 1);
}

static void do_write(uint64_t addr, uint64_t value)
{
	fault_code = 0;
	if (!sigsetjmp(after_fault, 1))
		*(volatile uint64_t *)addr = value;
	record("write %lx = %ld\n", addr - ARENA, fault_code);
}

static void do_read(uint64_t addr)
{
	volatile uint64_t value = 0;

	fault_code = 0;
	if (!sigsetjmp(after_fault, 1))
		value = *(volatile uint64_t *)addr;
	record("read %lx = %ld %lu\n", addr - ARENA, fault_code, (unsigned long)value);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

/* Some pages of the arena; now and then not quite. */
struct range {
	uint64_t addr, len;
};

static struct range some_pages(void)
{
	uint64_t page = below(NR_PAGES), nr = 1 + below(below(4) ? 6 : 30);

	if (page + nr > NR_PAGES)
		nr = NR_PAGES - page;
	return (struct range){ ARENA + page * PAGE, nr * PAGE };
}

static struct range spoiled(struct range range)
{
	if (once_in(20))
		range.len -= below(PAGE);
	if (once_in(40))
		range.addr += 1 + below(PAGE - 1);
	if (once_in(60))
		range.len = 0;
	return range;
}

static int some_rights(void)
{
	static const int rights[] = { 0, 1, 1, 3, 3, 3, 3, 3, 5, 7, 2 };

	return rights[below(sizeof(rights) / sizeof(*rights))];
}

static void do_mmap(void)
{
	struct range range = spoiled(some_pages());
	int prot = some_rights(), flags = MAP_ANONYMOUS | (below(4) ? MAP_PRIVATE : MAP_SHARED);

	if (once_in(12))
		flags |= MAP_NORESERVE;
	if (once_in(25))
		flags |= MAP_GROWSDOWN;
	if (once_in(25))
		flags |= MAP_STACK;
	if (once_in(10))
		flags |= MAP_POPULATE;
	if (once_in(30))
		flags ^= MAP_PRIVATE | MAP_SHARED;
	flags |= once_in(3) ? NOREPLACE : MAP_FIXED;
	record("mmap %lx %lx %d %x = %ld\n", range.addr - ARENA, range.len, prot, flags,
	       shown(CALL(SYS_mmap, range.addr, range.len, prot, flags, -1, 0)));
}

static void do_mmap_file(void)
{
	struct range range = some_pages();
	int prot = some_rights(), flags = MAP_FIXED | (below(2) ? MAP_SHARED : MAP_PRIVATE);
	uint64_t page = below(FILE_PAGES + 4);

	record("mmap %lx %lx %d %x file %lu = %ld\n", range.addr - ARENA, range.len, prot, flags, page,
	       shown(CALL(SYS_mmap, range.addr, range.len, prot, flags, file, page * PAGE)));
}

static void do_file(void)
{
	uint64_t value = state, pos = below((FILE_PAGES + 4) * PAGE / 8) * 8, size = below(FILE_PAGES * PAGE);

	switch (below(4)) {
	case 0:
		size = once_in(3) ? size : size & ~(PAGE - 1);
		record("truncate %lx = %d\n", size, ftruncate(file, (off_t)size));
		break;
	case 1:
		record("pwrite %lx = %zd\n", pos, pwrite(file, &value, sizeof(value), (off_t)pos));
		break;
	default:
		value = 0;
		record("pread %lx = %zd", pos, pread(file, &value, sizeof(value), (off_t)pos));
		record(" %lx\n", value);
	}
}

static void do_munmap(void)
{
	struct range range = spoiled(some_pages());

	record("munmap %lx %lx = %ld\n", range.addr - ARENA, range.len, CALL(SYS_munmap, range.addr, range.len));
}

static void do_mprotect(void)
{
	struct range range = spoiled(some_pages());
	long prot = some_rights();

	if (once_in(25))
		prot |= PROT_GROWSDOWN;
	if (once_in(40))
		prot |= PROT_GROWSUP;
	if (once_in(60))
		prot |= 0x10;
	record("mprotect %lx %lx %lx = %ld\n", range.addr - ARENA, range.len, prot,
	       CALL(SYS_mprotect, range.addr, range.len, prot));
}

static void do_mremap(void)
{
	struct range from = some_pages(), to = some_pages();
	int flags = below(3) ? MREMAP_MAYMOVE | MREMAP_FIXED : 0;

	if (once_in(12))
		flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
	if (once_in(30))
		flags = (int)below(4) * MREMAP_FIXED;
	if (once_in(10))
		from.len = 0;
	if (once_in(3) || flags & MREMAP_DONTUNMAP)
		to.len = from.len;
	if (once_in(40))
		to.addr += 7;
	if (!flags && from.addr + to.len > ARENA + NR_PAGES * PAGE)
		to.len = ARENA + NR_PAGES * PAGE - from.addr;
	record("mremap %lx %lx %lx %d %lx = %ld\n", from.addr - ARENA, from.len, to.len, flags, to.addr - ARENA,
	       shown(CALL(SYS_mremap, from.addr, from.len, to.len, flags, to.addr)));
}

static void do_madvise(void)
{
	static const int advices[] = { 0,  1,  2,  3,  4,  4,  4,  4,  8,  9,  10, 11, 12, 13,
				       14, 15, 16, 17, 18, 19, 20, 22, 22, 23, 23, 24, 99 };
	struct range range = spoiled(some_pages());
	int advice = advices[below(sizeof(advices) / sizeof(*advices))];

	record("madvise %lx %lx %d = %ld\n", range.addr - ARENA, range.len, advice,
	       CALL(SYS_madvise, range.addr, range.len, advice));
}

static void do_mincore(void)
{
	struct range range = some_pages();
	unsigned char vec[NR_PAGES];
	long result = CALL(SYS_mincore, range.addr, range.len, vec);

	record("mincore %lx %lx = %ld ", range.addr - ARENA, range.len, result);
	for (uint64_t i = 0; !result && i < range.len / PAGE; i++)
		record("%d", vec[i] & 1);
	record("\n");
}

static void do_msync(void)
{
	struct range range = spoiled(some_pages());
	int flags = (int)below(8);

	record("msync %lx %lx %d = %ld\n", range.addr - ARENA, range.len, flags,
	       CALL(SYS_msync, range.addr, range.len, flags));
}

/* The parent waits, with all it has mapped, and passes the child's end on. */
static void do_fork(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid) {
		MUST(waitpid(pid, &status, 0) == pid);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	close(maps); /* it shows the parent's */
	maps = open("/proc/self/maps", O_RDONLY);
	MUST(maps >= 0);
	record("fork\n");
}

static void step(uint64_t number)
{
	uint32_t which = below(200);

	if (which < 32)
		do_mmap();
	else if (which < 40)
		do_mmap_file();
	else if (which < 48)
		do_file();
	else if (which < 66)
		do_munmap();
	else if (which < 104)
		do_mprotect();
	else if (which < 128)
		do_mremap();
	else if (which < 152)
		do_madvise();
	else if (which < 174)
		do_write(some_pages().addr + 8 * below(16), number);
	else if (which < 186)
		do_read(some_pages().addr + 8 * below(16));
	else if (which < 194)
		do_mincore();
	else if (which < 199)
		do_msync();
	else
		do_fork();
}

int main(int argc, char **argv)
{
	static char stack[1 << 16]; /* a fault may have no other */
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	uint64_t nr_steps = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;

	state = (argc > 1 ? strtoul(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15 + 1;
	trace = argc > 3;
	maps = open("/proc/self/maps", O_RDONLY);
	file = memfd_create("mmtrace", 0);
	MUST(maps >= 0 && file >= 0 && ftruncate(file, FILE_PAGES * PAGE) == 0);
	MUST(sigaltstack(&alternate, NULL) == 0);
	MUST(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
	for (uint64_t number = 1; number <= nr_steps; number++) {
		step(number);
		record_maps();
	}
	printf("mmtrace: seed %s, %lu steps: digest %016lx\n", argc > 1 ? argv[1] : "1", nr_steps, digest);
	return 0;
}
