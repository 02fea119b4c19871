/* SPDX-License-Identifier: MIT */
/*
 * Notes which blocks of the program run: gcc -fsanitize-coverage=trace-pc calls the function below at the start of
 * each. REACHED names a file, which becomes a map with one byte for each byte of the program: 1 where a call returns
 * to. It is
 * shared, so that it survives however the test ends, and with it the processes that tests run in.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern char __executable_start[], etext[];
void __sanitizer_cov_trace_pc(void);

static unsigned char *reached;

__attribute__((constructor)) static void open_map(void)
{
	size_t size = (size_t)(etext - __executable_start);
	const char *path = getenv("REACHED");
	void *map;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		abort();
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		abort();
	close(fd);
	reached = map;
}

/* Several CPUs may write the same byte, but all write the same. */
void __sanitizer_cov_trace_pc(void)
{
	if (reached)
		__atomic_store_n(&reached[(char *)__builtin_return_address(0) - __executable_start], 1,
				 __ATOMIC_RELAXED);
}

/* No sanitizer is linked in: what would tell the stack of a failed test. */
void __sanitizer_print_stack_trace(void);
void __sanitizer_print_stack_trace(void)
{
}
