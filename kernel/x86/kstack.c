/* SPDX-License-Identifier: MIT */
/*
 * Allocates kernel stacks, each with a guard area below it.
 *
 * The address range is divided into slots of twice a stack's size. The lower half of each slot stays unmapped, so that
 * an overflow faults instead of running into a neighbour. A freed stack stays mapped and is reused; only kstack_drain()
 * unmaps stacks, and it flushes the TLB of every CPU before it frees the pages.
 *
 * Locks: kstack_lock (LEAF, taken with interrupts off) protects the slots, the cache and the page tables of the area.
 * Pages are allocated without it.
 */
#include "kernel/lib/print.h"
#include "kernel/sync/spinlock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/kstack.h"
#include "kernel/x86/paging.h"
#include "mm/page/page_alloc.h"

#define SLOT_SIZE (2 * KSTACK_SIZE)
#define NR_SLOTS (32 * 1024UL) /* the maximum number of tasks; 1 GiB, so one table of level 2 */
#define STACK_PAGES (KSTACK_SIZE / PAGE_SIZE)
#define WORD_BITS 64
_Static_assert(WORD_BITS *SLOT_SIZE == 2UL << 20, "a word of slot_used and a page table cover the same slots");

/* The link at the lowest address of a cached stack. */
struct cached_stack {
	struct cached_stack *next;
};

static spinlock_t kstack_lock = SPINLOCK_INIT(LEAF);
static struct cached_stack *cache;	    /* protected by kstack_lock; each is fully mapped */
static u64 slot_used[NR_SLOTS / WORD_BITS]; /* protected by kstack_lock; bit set: the slot is taken */
static unsigned long first_hint;	    /* protected by kstack_lock; no word below has a clear bit */

static struct cached_stack *pop_cached(void)
{
	unsigned long flags = spin_lock_irqsave(&kstack_lock);
	struct cached_stack *stack = cache;

	if (stack)
		cache = stack->next;
	spin_unlock_irqrestore(&kstack_lock, flags);
	return stack;
}

/* Takes a free slot. Returns the lowest address of its stack, or 0 if all slots are taken. */
static u64 take_slot(void)
{
	unsigned long flags = spin_lock_irqsave(&kstack_lock);
	unsigned long word = first_hint;
	u64 addr = 0;

	while (word < ARRAY_SIZE(slot_used) && slot_used[word] == ~0UL)
		word++;
	first_hint = word;
	if (word < ARRAY_SIZE(slot_used)) {
		unsigned long bit = (unsigned long)__builtin_ctzl(~slot_used[word]);

		slot_used[word] |= 1UL << bit;
		addr = KSTACK_AREA_BASE + (word * WORD_BITS + bit) * SLOT_SIZE + KSTACK_SIZE;
	}
	spin_unlock_irqrestore(&kstack_lock, flags);
	return addr;
}

static void give_slot_back(u64 addr)
{
	unsigned long slot = (addr - KSTACK_AREA_BASE) / SLOT_SIZE;
	unsigned long flags = spin_lock_irqsave(&kstack_lock);

	slot_used[slot / WORD_BITS] &= ~(1UL << slot % WORD_BITS);
	first_hint = min(first_hint, slot / WORD_BITS);
	spin_unlock_irqrestore(&kstack_lock, flags);
}

/* Returns the level-2 entry for the page table of addr. The level-2 table itself exists from boot on. */
static u64 *table_entry(u64 addr)
{
	return kernel_pt_entry(addr, 2);
}

/*
 * Makes sure that addr has a page table. The caller has taken the slot, so the table is not freed. Returns false if out
 * of memory.
 */
static bool kstack_build_table(u64 addr)
{
	u64 *entry = table_entry(addr);
	struct page *table;

	if (READ_ONCE(*entry))
		return true;
	table = alloc_page(ALLOC_ZERO | ALLOC_WAIT);
	if (!table)
		return false;
	if (!atomic_cas(entry, 0UL, page_to_phys(table) | PT_PRESENT | PT_WRITE)) /* another CPU was first */
		page_put(table);
	return true;
}

/* Returns false, and allocates nothing, if out of memory. */
static bool alloc_stack_pages(struct page **pages)
{
	for (unsigned i = 0; i < STACK_PAGES; i++) {
		pages[i] = alloc_page(ALLOC_WAIT);
		if (pages[i])
			continue;
		while (i--)
			page_put(pages[i]);
		return false;
	}
	return true;
}

/*
 * Maps all of a stack, or nothing if out of memory: returns false then. A CPU may cache an entry from the moment it is
 * present, so one that is removed again would need a flush. The new entries need none: none was present at these
 * addresses since the last flush, so no CPU has a translation of them.
 */
static bool map_stack(u64 addr)
{
	struct page *pages[STACK_PAGES];

	if (!kstack_build_table(addr) || !alloc_stack_pages(pages))
		return false;
	for (unsigned i = 0; i < STACK_PAGES; i++)
		WRITE_ONCE(*kernel_pt_entry(addr + i * PAGE_SIZE, 1),
			   page_to_phys(pages[i]) | PT_PRESENT | PT_WRITE | PT_NX);
	return true;
}

void *kstack_alloc(void)
{
	void *stack = pop_cached();
	u64 addr;

	if (stack)
		return stack;
	addr = take_slot();
	if (!addr)
		return NULL;
	if (!map_stack(addr)) {
		give_slot_back(addr);
		return NULL;
	}
	return (void *)addr;
}

void kstack_free(void *stack)
{
	unsigned long flags = spin_lock_irqsave(&kstack_lock);
	struct cached_stack *entry = stack;

	entry->next = cache;
	cache = entry;
	spin_unlock_irqrestore(&kstack_lock, flags);
}

/*
 * Unmaps the stack and adds its pages to the list, linked by page->private, to be freed after the flush. The index of
 * the last page is the stack's address.
 */
static struct page *unmap_cached(struct cached_stack *stack, struct page *list)
{
	for (unsigned i = 0; i < STACK_PAGES; i++) {
		u64 old = atomic_xchg(kernel_pt_entry((u64)stack + i * PAGE_SIZE, 1), 0UL);
		struct page *page = phys_to_page(old & PT_FRAME);

		page->private = (u64)list;
		page->index = i == STACK_PAGES - 1 ? (u64)stack : 0;
		list = page;
	}
	return list;
}

static void flush_all_cpus(void)
{
	machine_tlb_shootdown(~0UL >> (MAX_CPUS - nr_cpus()), 0, ~0UL);
	write_cr3(read_cr3());
}

static void free_gathered(struct page *pages)
{
	while (pages) {
		struct page *next = (struct page *)pages->private;

		if (pages->index)
			give_slot_back(pages->index);
		pages->private = 0;
		pages->index = 0;
		page_put(pages);
		pages = next;
	}
}

static void free_cached(struct cached_stack *stack)
{
	struct page *pages = NULL;

	while (stack) {
		struct cached_stack *next = stack->next;

		pages = unmap_cached(stack, pages);
		stack = next;
	}
	flush_all_cpus();
	free_gathered(pages);
}

/*
 * => kstack_lock held. Unlinks the page tables that map no stack. Their slots stay taken until every CPU has flushed.
 */
static struct page *unlink_empty_tables(void)
{
	struct page *list = NULL;

	assert_spin_held(&kstack_lock);
	for (unsigned long word = 0; word < ARRAY_SIZE(slot_used); word++) {
		u64 *entry = table_entry(KSTACK_AREA_BASE + word * WORD_BITS * SLOT_SIZE);
		struct page *table;

		if (slot_used[word] || !*entry)
			continue;
		table = phys_to_page(atomic_xchg(entry, 0UL) & PT_FRAME);
		slot_used[word] = ~0UL;
		table->private = (u64)list;
		table->index = word;
		list = table;
	}
	return list;
}

static void free_tables_of_stacks(struct page *list)
{
	while (list) {
		struct page *next = (struct page *)list->private;
		unsigned long word = list->index;
		unsigned long flags = spin_lock_irqsave(&kstack_lock);

		slot_used[word] = 0;
		first_hint = min(first_hint, word);
		spin_unlock_irqrestore(&kstack_lock, flags);
		list->private = 0;
		list->index = 0;
		page_put(list);
		list = next;
	}
}

void kstack_drain(void)
{
	unsigned long flags = spin_lock_irqsave(&kstack_lock);
	struct cached_stack *stack = cache;
	struct page *tables;

	cache = NULL;
	spin_unlock_irqrestore(&kstack_lock, flags);
	assert_irqs_on();
	if (stack)
		free_cached(stack);

	flags = spin_lock_irqsave(&kstack_lock);
	tables = unlink_empty_tables();
	spin_unlock_irqrestore(&kstack_lock, flags);
	if (!tables)
		return;
	flush_all_cpus();
	free_tables_of_stacks(tables);
}

bool kstack_is_guard(u64 addr)
{
	return addr >= KSTACK_AREA_BASE && addr < KSTACK_AREA_BASE + NR_SLOTS * SLOT_SIZE &&
	       (addr - KSTACK_AREA_BASE) % SLOT_SIZE < KSTACK_SIZE;
}
