/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine's memory: one arena that serves as physical memory, the tracking of freed parts of it, and
 * failing allocations.
 */
#include "sim_internal.h"

#include "kernel/lib/string.h"
#include "mm/page/page.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

u8 *sim_memory;
struct page *mem_map;
pfn_t max_pfn;
static u32 *generations;

static void *map_zeroed(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		panic("cannot map memory");
	return memory;
}

void sim_memory_init(void)
{
	max_pfn = SIM_MEMORY_BYTES >> PAGE_SHIFT;
	sim_memory = map_zeroed(SIM_MEMORY_BYTES);
	mem_map = map_zeroed((max_pfn + 1) * sizeof(struct page));
	machine_poison(&mem_map[max_pfn], sizeof(struct page)); /* no such frame */
	generations = map_zeroed(max_pfn * sizeof(*generations));
}

/*
 * No other thread may use a page while it is cleared, or write to it while it is copied. ThreadSanitizer finds one that
 * does, but only with plain accesses here: some compilers turn memset() and memcpy() into instructions that it does not
 * instrument.
 */
void clear_page(void *page)
{
	for (u64 *word = page; word < (u64 *)(page + PAGE_SIZE); word++)
		*word = 0;
}

void copy_page(void *dst, const void *src)
{
	u64 *to = dst;
	const u64 *from = src;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		to[i] = from[i];
}

/* Use atomic accesses: programs may write to the memory at the same time, which is no bug of the kernel. */
void clear_shared(void *start, size_t bytes)
{
	for (u8 *byte = start; byte < (u8 *)start + bytes; byte++)
		WRITE_ONCE(*byte, 0);
}

void copy_shared_page(void *dst, const void *src)
{
	u64 *to = dst;
	const u64 *from = src;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		to[i] = READ_ONCE(from[i]);
}

u32 sim_frame_generation(pfn_t pfn)
{
	return READ_ONCE(generations[pfn]);
}

/*
 * AddressSanitizer is told of every byte. Whole pages also get a new generation, which catches a stale translation that
 * is used after the frame has been allocated again.
 */
void machine_poison(const void *start, size_t size)
{
	pfn_t first = virt_to_phys(start) >> PAGE_SHIFT;

	for (pfn_t pfn = first; size >= PAGE_SIZE && pfn < first + (size >> PAGE_SHIFT); pfn++)
		__atomic_add_fetch(&generations[pfn], 1, __ATOMIC_RELAXED);
	ASAN_POISON_MEMORY_REGION(start, size);
}

void machine_unpoison(const void *start, size_t size)
{
	ASAN_UNPOISON_MEMORY_REGION(start, size);
}

/* ---- Allocations that fail --------------------------------------------------------------------------------------- */

static _Thread_local struct {
	u64 nr, first; /* allocations so far; the one that fails, or 0: none */
	bool onwards;
} failing;

void sim_fail_allocation(u64 n, bool onwards)
{
	failing.nr = 0;
	failing.first = n;
	failing.onwards = onwards;
}

bool sim_allocation_failed(void)
{
	bool failed = failing.first && failing.nr >= failing.first;

	failing.first = 0;
	return failed;
}

bool machine_fails_allocation(void)
{
	if (!failing.first)
		return false;
	failing.nr++;
	return failing.nr == failing.first || (failing.onwards && failing.nr > failing.first);
}
