/* SPDX-License-Identifier: MIT */
/*
 * The page-table walker, builder and iterator, and how page tables are allocated and freed. A table is published by one
 * compare-and-exchange in its parent, so two faults may build concurrently; it is unlinked only by free_tables(), under
 * mmap_lock for writing.
 */
#include "mm/table/pgtable.h"

#include "kernel/lib/string.h"
#include "mm/debug/counters.h"
#include "mm/table/tlb.h"
#include "mm/vma/mm.h"
#include "mm/vma/vma.h"

#define TOP_LEVEL 4
#define TABLE_ENTRY_BITS (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)

static enum pt_state entry_state(pmd_t entry, unsigned level)
{
	if (pmd_none(entry))
		return level == 2 ? PT_NONE : PT_NONE_UPPER;
	if (unlikely(pmd_bad(entry)))
		return pmd_huge(entry) && level < TOP_LEVEL ? PT_HUGE : PT_BAD;
	return PT_TABLE;
}

static pmd_t *table_of(pmd_t entry)
{
	return phys_to_virt(entry.val & PTE_FRAME);
}

/* Reads one entry. True when it points to a table. */
static inline bool pt_walk_step(struct pt_walk *walk, pmd_t *table, vaddr_t addr, unsigned level)
{
	walk->level = level;
	walk->pmdp = table + table_index(addr, level);
	walk->pmd = pmd_read(walk->pmdp);
	return likely(!pmd_bad(walk->pmd)); /* an entry that is none is "bad" too */
}

/* Every fault runs this: three steps with constant shifts instead of a loop. */
struct pt_walk pt_walk(struct mm *mm, vaddr_t addr)
{
	struct pt_walk walk;

	assert_tables_readable(mm, addr);
	if (pt_walk_step(&walk, mm->pgd, addr, TOP_LEVEL) && pt_walk_step(&walk, table_of(walk.pmd), addr, 3) &&
	    pt_walk_step(&walk, table_of(walk.pmd), addr, 2))
		walk.state = PT_TABLE;
	else
		walk.state = entry_state(walk.pmd, walk.level);
	return walk;
}

static struct page *table_alloc(struct mm *mm, unsigned level)
{
	struct page *table = alloc_page(ALLOC_ZERO | ALLOC_WAIT);

	if (!table)
		return NULL;
	page_set(table, PG_TABLE);
	table->mm = mm;
	table->private = level;
	spin_init(&table->ptl, level == 1 ? RANK_PTE : RANK_PMD);
	atomic_inc(&mm->nr_tables);
	count(pgtable_allocs);
	return table;
}

static void table_free(struct page *table)
{
	page_clear(table, PG_TABLE);
	page_put(table);
	count(pgtable_frees);
}

u64 pgtable_nr_pages(void)
{
	return counter_sum(COUNT_pgtable_allocs) - counter_sum(COUNT_pgtable_frees);
}

static void table_free_rcu(struct rcu_head *head)
{
	table_free(container_of(head, struct page, rcu));
}

/* Frees a table that was never linked. */
static void table_discard(struct mm *mm, struct page *table)
{
	__atomic_sub_fetch(&mm->nr_tables, 1, __ATOMIC_RELAXED);
	table_free(table);
}

/* Links the table into the empty entry where the walk ended. False: another fault was first: its table is used (K4). */
static bool hang_in(const struct pt_walk *walk, const struct page *table)
{
	return atomic_cas(&walk->pmdp->val, 0UL, page_to_phys(table) | TABLE_ENTRY_BITS);
}

/* Builds the missing tables of this level and above, from where the walk ended. */
static struct pt_walk build_down_to(struct mm *mm, vaddr_t addr, struct pt_walk walk, unsigned level)
{
	while ((walk.state == PT_NONE || walk.state == PT_NONE_UPPER) && walk.level > level) {
		struct page *table = table_alloc(mm, walk.level - 1);

		if (!table)
			return walk;
		if (!hang_in(&walk, table))
			table_discard(mm, table);
		walk = pt_walk(mm, addr);
	}
	return walk;
}

struct pt_walk pt_build(struct mm *mm, vaddr_t addr)
{
	assert_tables_stay(mm, addr);
	return build_down_to(mm, addr, pt_walk(mm, addr), 1);
}

struct page *pt_prealloc(struct mm *mm, vaddr_t addr)
{
	struct pt_walk walk = build_down_to(mm, addr, pt_walk(mm, addr), 2);

	assert_tables_stay(mm, addr);
	return walk.state == PT_NONE_UPPER ? NULL : table_alloc(mm, 1);
}

struct pt_walk pt_install(struct mm *mm, vaddr_t addr, struct page **table)
{
	struct pt_walk walk = pt_walk(mm, addr);

	assert_tables_stay(mm, addr);
	if (walk.state != PT_NONE || !*table)
		return walk;
	if (hang_in(&walk, *table))
		*table = NULL;
	return pt_walk(mm, addr);
}

void pt_prealloc_free(struct mm *mm, struct page *table)
{
	table_discard(mm, table);
}

pte_t *pte_lock(struct mm *mm, vaddr_t addr, spinlock_t **ptl)
{
	struct pt_walk walk = pt_walk(mm, addr);

	assert_tables_stay(mm, addr);
	if (walk.state != PT_TABLE)
		return NULL;
	*ptl = pte_lockptr(walk.pmd);
	spin_lock(*ptl);
	return pte_offset(walk.pmd, addr);
}

/* ---- The iterator ------------------------------------------------------------------------------------------------ */

void pt_iter_begin(struct pt_iter *it, struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_mmap_locked(mm);
	it->mm = mm;
	it->addr = it->stop = start;
	it->end = end;
	it->table = NULL;
}

void pt_iter_end(struct pt_iter *it)
{
	if (it->table)
		spin_unlock(&it->table->ptl);
	it->table = NULL;
}

void pt_iter_again(struct pt_iter *it)
{
	pt_iter_end(it);
	it->stop = it->addr;
}

/* The end of what one entry of this level covers, or of the range if that comes first. */
static vaddr_t entry_end(vaddr_t addr, unsigned level, vaddr_t end)
{
	u64 size = 1UL << (PAGE_SHIFT + 9 * (level - 1));

	return min(align_down(addr, size) + size, end);
}

bool pt_iter_next(struct pt_iter *it)
{
	vaddr_t addr = it->stop;

	assert_mmap_locked(it->mm);
	pt_iter_end(it);
	while (addr < it->end) {
		struct pt_walk walk = pt_walk(it->mm, addr);

		BUG_ON(walk.state == PT_HUGE || walk.state == PT_BAD, "the page tables are corrupt at %lx",
		       (unsigned long)addr);
		if (walk.state == PT_TABLE) {
			it->addr = addr;
			it->stop = entry_end(addr, 2, it->end);
			it->pte = pte_offset(walk.pmd, addr);
			it->table = pmd_table(walk.pmd);
			spin_lock(&it->table->ptl);
			return true;
		}
		addr = entry_end(addr, walk.level, it->end);
	}
	it->addr = it->stop = it->end;
	return false;
}

/* ---- Life and death ---------------------------------------------------------------------------------------------- */

pmd_t *pgd_alloc(struct mm *mm)
{
	struct page *table = table_alloc(mm, TOP_LEVEL);

	if (!table)
		return NULL;
	machine_init_pgd(page_to_virt(table));
	return page_to_virt(table);
}

void pgd_free(struct mm *mm, pmd_t *pgd)
{
	BUG_ON(READ_ONCE(mm->nr_tables) != 1, "an address space ends with %lu page tables too many",
	       (unsigned long)mm->nr_tables - 1);
	/* Speculation that began before the last user left may still be reading it. */
	call_rcu(&virt_to_page(pgd)->rcu, table_free_rcu);
}

static void assert_table_empty(struct page *table)
{
#if DEBUG
	const pte_t *entries = page_to_virt(table);

	for (unsigned i = 0; i < PTRS_PER_TABLE; i++)
		ASSERT(pte_none(pte_read(entries + i)), "a page table is freed only when nothing is left in it");
#else
	(void)table;
#endif
}

struct free_range {
	struct tlb_gather *tlb;
	vaddr_t floor, ceiling;
};

/*
 * Frees the tables below `table` in [start, end): a child is freed if no VMA outside the range shares the part of the
 * address space that it covers.
 */
static void free_children(const struct free_range *range, pmd_t *table, unsigned level, vaddr_t start, vaddr_t end)
{
	u64 size = 1UL << (PAGE_SHIFT + 9 * (level - 1));

	for (vaddr_t addr = start; addr < end; addr = entry_end(addr, level, end)) {
		pmd_t *entry = table + table_index(addr, level);
		pmd_t value = pmd_read(entry);
		vaddr_t first = align_down(addr, size);

		if (pmd_none(value))
			continue;
		if (level > 2)
			free_children(range, table_of(value), level - 1, addr, entry_end(addr, level, end));
		if (range->floor > first || first + size > range->ceiling)
			continue;
		assert_table_empty(pmd_table(value));
		atomic_xchg(&entry->val, 0UL); /* before the flush reads which CPUs use the mm (K7) */
		tlb_add_table(range->tlb, pmd_table(value));
	}
}

void free_tables(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end, vaddr_t floor, vaddr_t ceiling)
{
	struct free_range range = { .tlb = tlb, .floor = floor, .ceiling = ceiling };
	vaddr_t lowest;

	assert_mmap_write_locked(mm);
	/* No user memory lies between USER_END and the end of the lower half. */
	if (range.ceiling == USER_END)
		range.ceiling = USER_HALF_END;
	/* The lowest tables cover least. If VMAs beside the range share all of those, they share the tables above. */
	lowest = max(align_down(start, PMD_SIZE), align_up(floor, PMD_SIZE));
	if (lowest >= end || lowest + PMD_SIZE > range.ceiling)
		return;
	free_children(&range, mm->pgd, TOP_LEVEL, start, end);
}

void tlb_add_table(struct tlb_gather *tlb, struct page *table)
{
	/* The list runs through the first word of `rcu`, which is not queued yet. */
	table->rcu.next = tlb->tables ? &tlb->tables->rcu : NULL;
	tlb->tables = table;
	tlb->full = true;
	__atomic_sub_fetch(&tlb->mm->nr_tables, 1, __ATOMIC_RELAXED);
}

/* Called after the flush (tlb.c): no CPU's hardware walks them any more; speculation may, for one grace period. */
void tables_free_rcu(struct page *tables)
{
	while (tables) {
		struct rcu_head *next = tables->rcu.next;

		call_rcu(&tables->rcu, table_free_rcu);
		tables = next ? container_of(next, struct page, rcu) : NULL;
	}
}

static const char *entry_in_words(pmd_t entry)
{
	if (pmd_none(entry))
		return "none";
	if (!(entry.val & PTE_PRESENT))
		return "not a table";
	if (pmd_huge(entry))
		return "a large page";
	return (entry.val & PTE_FRAME) >> PAGE_SHIFT < max_pfn ? "" : "not a table: points outside of memory";
}

static void dump_last_entry(pte_t pte, unsigned index)
{
	static const char *const kinds[] = { "none", "page", "swap slot", "special swap entry", "marker" };
	u64 bits = pte_maps_page(pte) ? pte.val : 0;

	klog("  level 1 entry %3u = %016lx %s%s%s%s%s%s%s%s", index, (unsigned long)pte.val, kinds[pte_kind(pte)],
	     bits & PTE_PRESENT ? " present" : "", bits & PTE_WRITE ? " writable" : "", bits & PTE_USER ? " user" : "",
	     bits & PTE_ACCESSED ? " accessed" : "", bits & PTE_DIRTY ? " dirty" : "", bits & PTE_NX ? " no-exec" : "",
	     bits & PTE_SPECIAL ? " special" : "");
}

void pt_dump_walk(const pmd_t *table, vaddr_t addr)
{
	for (unsigned level = TOP_LEVEL; level > 1; level--) {
		pmd_t entry = pmd_read(table + table_index(addr, level));
		const char *words = entry_in_words(entry);

		klog("  level %u entry %3u = %016lx %s", level, table_index(addr, level), (unsigned long)entry.val,
		     *words ? words : "table");
		if (*words)
			return;
		table = table_of(entry);
	}
	dump_last_entry(pte_read((const pte_t *)table + table_index(addr, 1)), table_index(addr, 1));
}
