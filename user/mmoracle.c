/* SPDX-License-Identifier: MIT */
/*
 * Random memory calls, plausible and absurd, with what they answered: one line for each, so that a difference to Linux
 * names the call. All happens in an arena of its own; addresses are printed as pages of the arena. Every few calls it
 * prints a picture of the arena as /proc/self/maps and accesses show it.
 *
 * Arguments: seed (1), calls (500).
 */
#include "user/check.h"

#include <fcntl.h>

#define ARENA 64
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static uint64_t state;
static char *arena;

static uint64_t next_random(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t limit)
{
	return next_random() % limit;
}

/* An address as it is printed: "12" is page 12 of the arena, "12+5" the sixth byte of it. */
static const char *name_of(uint64_t addr)
{
	static char names[4][32];
	static int next;
	char *name = names[next++ % 4];
	uint64_t offset = addr - (uint64_t)arena;

	if (offset >= ARENA * PAGE)
		snprintf(name, sizeof(names[0]), "%#llx", (unsigned long long)addr);
	else if (offset % PAGE)
		snprintf(name, sizeof(names[0]), "%llu+%llu", (unsigned long long)(offset / PAGE),
			 (unsigned long long)(offset % PAGE));
	else
		snprintf(name, sizeof(names[0]), "%llu", (unsigned long long)(offset / PAGE));
	return name;
}

static uint64_t some_address(void)
{
	uint64_t page = (uint64_t)arena + below(ARENA) * PAGE;

	switch (below(24)) {
	case 0:
		return page + 1 + below(PAGE - 1);
	case 1:
		return 0xffffffff80000000;
	case 2:
		return 0x7ffffffff000;
	default:
		return page;
	}
}

/* Stays within the arena when it starts at `addr`, or wraps: what lies between would hit the program itself. */
static uint64_t some_length(uint64_t addr)
{
	static const uint64_t absurd[] = { 0, 1, 4095, -1UL, -4096UL };
	uint64_t offset = addr - (uint64_t)arena, room = offset < ARENA * PAGE ? ARENA - offset / PAGE : 1;

	if (below(16) == 0)
		return absurd[below(sizeof(absurd) / sizeof(absurd[0]))];
	return (1 + below(room < 12 ? room : 12)) * PAGE - (below(8) ? 0 : below(PAGE));
}

/* Not PROT_EXEC alone: where the CPU has protection keys, Linux makes that unreadable. */
static int some_prot(void)
{
	int prot = below(8);

	return prot == PROT_EXEC ? PROT_READ | PROT_EXEC : prot;
}

static void answer(long result)
{
	if (result == -1)
		printf(" = errno %d\n", errno);
	else if ((uint64_t)result > 4096)
		printf(" = %s\n", name_of(result));
	else
		printf(" = %ld\n", result);
}

/* --- calls ------------------------------------------------------------------------------------------------------ */

static void call_mmap(void)
{
	static const int types[] = {
		MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, 0, MAP_PRIVATE | MAP_NORESERVE
	};
	static const int extras[] = {
		0, 0, 0, 0x100000 /* MAP_FIXED_NOREPLACE */, MAP_POPULATE, MAP_STACK, 0x80000000
	};
	uint64_t addr = some_address(), len = some_length(addr);
	int prot = some_prot(), flags = MAP_FIXED | MAP_ANONYMOUS | types[below(6)] | extras[below(7)];

	printf("mmap %s %#llx prot %d flags %#x", name_of(addr), (unsigned long long)len, prot, flags);
	answer(syscall(SYS_mmap, addr, len, prot, flags, -1, 0));
}

static void call_munmap(void)
{
	uint64_t addr = some_address(), len = some_length(addr);

	printf("munmap %s %#llx", name_of(addr), (unsigned long long)len);
	answer(syscall(SYS_munmap, addr, len));
}

static void call_mprotect(void)
{
	uint64_t addr = some_address(), len = some_length(addr);
	int prot = below(24) ? some_prot() : (int)(next_random() & 0xff0);

	printf("mprotect %s %#llx prot %#x", name_of(addr), (unsigned long long)len, prot);
	answer(syscall(SYS_mprotect, addr, len, prot));
}

/* Only to fixed places and in place: where else it would go is not the same everywhere. */
static void call_mremap(void)
{
	static const int some_flags[] = {
		0, 0, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED, 8
	};
	uint64_t addr = some_address(), old_len = some_length(addr), to = some_address(), len = some_length(to);
	int flags = some_flags[below(6)];

	if (below(3) == 0)
		len = old_len;
	printf("mremap %s %#llx -> %s %#llx flags %d", name_of(addr), (unsigned long long)old_len, name_of(to),
	       (unsigned long long)len, flags);
	answer(syscall(SYS_mremap, addr, old_len, len, flags, to));
}

static void call_madvise(void)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK, MADV_WILLNEED, 22, 23, 18, 19, 99,
		MADV_RANDOM,   MADV_NORMAL,   MADV_REMOVE
	};
	uint64_t addr = some_address(), len = some_length(addr);
	int which = advice[below(13)];

	printf("madvise %s %#llx %d", name_of(addr), (unsigned long long)len, which);
	answer(syscall(SYS_madvise, addr, len, which));
}

static void call_mincore(void)
{
	static unsigned char vec[ARENA * 2];
	uint64_t addr = some_address(), len = some_length(addr);

	printf("mincore %s %#llx", name_of(addr), (unsigned long long)len);
	answer(syscall(SYS_mincore, addr, len, vec));
}

static void call_msync(void)
{
	uint64_t addr = some_address(), len = some_length(addr);
	int flags = below(8);

	printf("msync %s %#llx %d", name_of(addr), (unsigned long long)len, flags);
	answer(syscall(SYS_msync, addr, len, flags));
}

static void call_mlock(void)
{
	uint64_t addr = some_address(), len = some_length(addr);
	bool lock = below(2);

	printf("%s %s %#llx", lock ? "mlock" : "munlock", name_of(addr), (unsigned long long)len);
	answer(syscall(lock ? SYS_mlock : SYS_munlock, addr, len));
}

static int access_page(uint64_t page, bool write)
{
	return write ? CATCH(poke(arena + page * PAGE, page)) : CATCH(peek(arena + page * PAGE));
}

static void touch(void)
{
	uint64_t page = below(ARENA);
	bool write = below(2);
	int signo = access_page(page, write);

	printf("%s %llu = signal %d code %d\n", write ? "write" : "read", (unsigned long long)page, signo, caught.code);
}

static void one_call(void)
{
	static void (*const calls[])(void) = { call_mmap,   call_mmap,	 call_munmap,  call_mprotect, call_mprotect,
					       call_mremap, call_mremap, call_madvise, call_madvise,  call_mincore,
					       call_msync,  call_mlock,	 touch,	       touch,	      touch };

	calls[below(sizeof(calls) / sizeof(calls[0]))]();
}

/* --- pictures --------------------------------------------------------------------------------------------------- */

/* Without stdio's streams: they would allocate memory, and that could come to lie in a hole of the arena. */
static char *read_maps(void)
{
	static char text[64 * 1024];
	int fd = open("/proc/self/maps", O_RDONLY);
	size_t len = 0;
	ssize_t n;

	MUST(fd >= 0);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	return text;
}

/* The lines of /proc/self/maps that lie in the arena. */
static void show_maps(void)
{
	unsigned long first, last, start = (unsigned long)arena;
	char perms[8], *rest, *line;

	printf("maps:");
	for (line = strtok_r(read_maps(), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		MUST(sscanf(line, "%lx-%lx %7s", &first, &last, perms) == 3);
		if (first >= start && last <= start + ARENA * PAGE)
			printf(" %s-%lu%s", name_of(first), (last - start) / PAGE, perms);
	}
	printf("\n");
}

/* One letter for each page: its contents, or - when it can't be read. */
static void show_contents(void)
{
	printf("data:");
	for (int i = 0; i < ARENA; i++) {
		volatile unsigned char seen = 0;

		if (CATCH(seen = peek(arena + i * PAGE)))
			printf(" -");
		else
			printf(" %d", seen);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	long calls = argc > 2 ? atol(argv[2]) : 500;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	catch_faults(0);
	arena = map_island(ARENA, PROT_READ | PROT_WRITE);
	for (long i = 1; i <= calls; i++) {
		one_call();
		if (i % 25 == 0)
			show_maps(), show_contents();
	}
	fflush(stdout);
	return 0;
}
