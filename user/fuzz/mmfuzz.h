/* SPDX-License-Identifier: MIT */
/* The basics of mmfuzz: random numbers that depend only on seed and step, the digest, and the messages about a step. */
#ifndef USER_MMFUZZ_H
#define USER_MMFUZZ_H

#include "user/lib/check.h"
#include "user/lib/random.h"

#include <fcntl.h>
#include <stdarg.h>

#define ARENA 0x10000000000UL /* at a fixed address, so that the layout can be part of the digest */
#define NR_PAGES 64

static uint64_t seed;
static bool trace; /* print every step in words */
static bool exact; /* also what only the newest Linux does: which VMAs merge, and moves across several */
static long failures;
static __thread long step_number; /* from 1 */
static __thread uint64_t digest;
static uint64_t *total_digest; /* of all seeds; shared with the processes that run them */

/* --- random numbers --------------------------------------------------------------------------------------------- */

static __thread uint64_t random_state;

static uint64_t next_random(void)
{
	return splitmix64(&random_state);
}

static uint64_t below(uint64_t limit)
{
	return next_random() % limit;
}

static bool once_in(uint64_t n)
{
	return below(n) == 0;
}

/* Restarts the random numbers for each step, so that omitting other steps does not change what it does. */
static void random_for(uint64_t stream, uint64_t number)
{
	random_state = stream * 0xd1342543de82ef95 + number;
	random_state = next_random();
}

/* --- the record ------------------------------------------------------------------------------------------------- */

static void mix(uint64_t value)
{
	digest = (digest ^ value) * 0x100000001b3; /* FNV-1a, 64 bit */
	digest ^= digest >> 29;
}

/* Prints the digest of a seed that has ended. */
static void say_digest(uint64_t of_seed)
{
	printf("seed %llu: %016llx\n", (unsigned long long)seed, (unsigned long long)of_seed);
	fflush(stdout);
	*total_digest = (*total_digest ^ of_seed) * 0x100000001b3;
}

/* Bypasses stdio, whose buffered text a fork would duplicate. */
static void say_v(const char *format, va_list args)
{
	char text[256];
	int len = vsnprintf(text, sizeof(text), format, args);

	MUST(write(1, text, len) == len);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_v(format, args);
	va_end(args);
}

/* Describes what comes next, only in a trace. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	va_list args;

	if (!trace)
		return;
	va_start(args, format);
	say_v(format, args);
	va_end(args);
}

/* Reports that memory is not what the shadow predicts. */
__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) > 5)
		return;
	say("FAIL seed %llu step %ld: ", (unsigned long long)seed, step_number);
	va_start(args, format);
	say_v(format, args);
	va_end(args);
	say("\n");
}

/* A system call's result, or its errno as a negative number. */
#define CALL(number, ...)                                                                                              \
	({                                                                                                             \
		long _result = syscall(number, __VA_ARGS__);                                                           \
		_result == -1 ? -errno : _result;                                                                      \
	})

/* Ends the description of a step with its result. Addresses are relative to the arena's start. */
static long answer(long result)
{
	long shown = result > 0 && (uint64_t)result >= ARENA ? result - (long)ARENA : result;

	mix(shown);
	if (result < 0)
		tell(" = %s\n", strerror(-result));
	else
		tell(" = %#lx\n", shown);
	return result;
}

/* --- pages of the arena ----------------------------------------------------------------------------------------- */

struct range {
	int first, nr;
};

static char *at(int page)
{
	return (char *)ARENA + (long)page * (long)PAGE;
}

static struct range some_range(void)
{
	struct range r = { .first = below(NR_PAGES), .nr = 1 + below(once_in(4) ? 30 : 7) };

	if (r.nr > NR_PAGES - r.first)
		r.nr = NR_PAGES - r.first;
	return r;
}

/* Includes write-only memory, but not execute-only memory, which CPUs with protection keys make unreadable. */
static int some_rights(void)
{
	static const int rights[] = {
		PROT_NONE, PROT_READ, PROT_READ, PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC
	};

	return once_in(2) ? PROT_READ | PROT_WRITE : rights[below(6)];
}

static const char *rights_word(int prot)
{
	static const char *const words[] = { "no rights",    "read-only",    "write-only",    "read-write",
					     "execute-only", "read-execute", "write-execute", "all rights" };

	return words[prot & 7];
}

#endif
