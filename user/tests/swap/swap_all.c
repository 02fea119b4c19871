/* SPDX-License-Identifier: MIT */
/*
 * Touches more memory than the machine has, twice. Argument: MiB. Each page carries its address and the number of the
 * round; the second round checks the first.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096UL

static size_t pass(char *base, size_t nr, uint64_t round)
{
	size_t wrong = 0;

	for (size_t page = 0; page < nr; page++) {
		volatile uint64_t *word = (uint64_t *)(base + page * PAGE + page * 8 % PAGE);

		wrong += round ? word[0] != (uint64_t)word + round : word[0] != 0;
		word[0] = (uint64_t)word + round + 1;
	}
	return wrong;
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 256) << 20, wrong = 0;
	char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return 1;
	madvise(base, size, MADV_NOHUGEPAGE);
	for (uint64_t round = 0; round < 2; round++)
		wrong += pass(base, size / PAGE, round);
	printf("%zu pages, %zu wrong\n", size / PAGE, wrong);
	return wrong != 0;
}
