/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries: how they are encoded, the one decoder, and the one walker.
 *
 * Four levels: PGD (level 4) › PUD (3) › PMD (2) › PTE (1). An entry of levels 4 to 2 points to a table; a table
 * of level 1 is "the page table", and the lock of its entries (the PTE lock) lives in its struct page. Tables are built
 * only when there is a page to map, and freed only by unmap, after an RCU grace period and a shootdown.
 */
#ifndef MM_PGTABLE_H
#define MM_PGTABLE_H

#include "mm/page/page_alloc.h"

typedef struct {
	u64 val;
} pte_t; /* an entry of level 1 */
typedef struct {
	u64 val;
} pmd_t; /* an entry of levels 2 to 4: they look alike */

#define PTRS_PER_TABLE 512
#define PMD_SHIFT 21
#define PMD_SIZE (1UL << PMD_SHIFT)
#define USER_END 0x7ffffffff000UL /* one past the last user address, as Linux's TASK_SIZE */
#define USER_HALF_END (1UL << 47) /* what the user's half of the top table covers */

/* Hardware bits of a present entry. */
#define PTE_PRESENT (1UL << 0)
#define PTE_WRITE (1UL << 1)
#define PTE_USER (1UL << 2)
#define PTE_ACCESSED (1UL << 5)
#define PTE_DIRTY (1UL << 6)
#define PTE_HUGE (1UL << 7) /* levels 2 and 3: maps a large page itself */
#define PTE_KEY_SHIFT 59    /* the protection key, 4 bits */
#define PTE_KEY (0xfUL << PTE_KEY_SHIFT)
#define PTE_NX (1UL << 63)
/* Software bits, which the CPU ignores in present entries. */
#define PTE_SPECIAL (1UL << 9)	   /* maps a page that is never counted: the shared zero page */
#define PTE_SOFT_DIRTY (1UL << 10) /* reserved from the start */
#define PTE_UFFD_WP (1UL << 11)	   /* reserved from the start */
#define PTE_EXCLUSIVE (1UL << 58)  /* reserved from the start */
/*
 * Entries that the CPU cannot use (bit 0 clear), but that are not none:
 *	bit 8: a mapped page whose VMA is PROT_NONE. The entry keeps the frame, so that mprotect can restore it.
 *	bit 1, bit 8 clear: a swap entry (device in bits 2…6, special kinds among them, offset from bit 12)
 *	bit 2, bits 1 and 8 clear: a marker (what it marks from bit 12)
 */
#define PTE_PROTNONE (1UL << 8)
#define PTE_SWAP (1UL << 1)
#define PTE_MARKER (1UL << 2)
#define PTE_FRAME 0x000ffffffffff000UL

enum pte_kind {
	PTE_KIND_NONE,	  /* nothing was ever here, or it was removed */
	PTE_KIND_PAGE,	  /* maps a page, whether or not the CPU may use the entry */
	PTE_KIND_SWAP,	  /* a swap slot */
	PTE_KIND_SPECIAL, /* a special swap entry: migration, hwpoison, device-private, device-exclusive */
	PTE_KIND_MARKER,  /* holds no swap entry at all: uffd-wp, poisoned, guard */
};

/* Swap areas from this number on are special kinds of swap entry. */
#define SWAP_DEVICE_SPECIAL 24
#define PTE_SWAP_DEVICE(pte) (((pte).val >> 2) & 0x1f)

/* ---- Entries. Context: any. -------------------------------------------------------------------------------------- */
/* The one decoder: nothing else looks at the bits of an entry that the CPU cannot use. Returns: what the entry is. */
static inline enum pte_kind pte_kind(pte_t pte)
{
	if (pte.val & (PTE_PRESENT | PTE_PROTNONE))
		return PTE_KIND_PAGE;
	if (likely(!pte.val))
		return PTE_KIND_NONE;
	if (pte.val & PTE_SWAP)
		return PTE_SWAP_DEVICE(pte) < SWAP_DEVICE_SPECIAL ? PTE_KIND_SWAP : PTE_KIND_SPECIAL;
	return PTE_KIND_MARKER;
}

/* A swap slot: which area, and which page of it. One word, so that a page's `private` holds it too. */
typedef struct {
	u64 val;
} swap_slot_t;

#define SWAP_OFFSET_BITS 40 /* so that the offset ends where the frame of a present entry does */

static inline swap_slot_t swap_slot_make(unsigned area, u64 offset)
{
	return (swap_slot_t){ (u64)area << SWAP_OFFSET_BITS | offset };
}
static inline unsigned swap_slot_area(swap_slot_t slot)
{
	return (unsigned)(slot.val >> SWAP_OFFSET_BITS);
}
static inline u64 swap_slot_offset(swap_slot_t slot)
{
	return slot.val & ((1UL << SWAP_OFFSET_BITS) - 1);
}
static inline pte_t pte_make_swap(swap_slot_t slot)
{
	return (pte_t){ swap_slot_offset(slot) << PAGE_SHIFT | (u64)swap_slot_area(slot) << 2 | PTE_SWAP };
}
/*
 * The slot that an entry names. The caller has checked the kind: the bits of a slot mean something else in other
 * entries.
 *
 * Returns: the slot.
 */
static inline swap_slot_t pte_swap_slot(pte_t pte)
{
	ASSERT(pte_kind(pte) == PTE_KIND_SWAP, "a slot is read from an entry that names one");
	return swap_slot_make(PTE_SWAP_DEVICE(pte), (pte.val & PTE_FRAME) >> PAGE_SHIFT);
}

static inline bool pte_none(pte_t pte)
{
	return pte.val == 0;
}
/* "Maps a page" and "the CPU can use it" are two questions. */
static inline bool pte_maps_page(pte_t pte)
{
	return pte.val & (PTE_PRESENT | PTE_PROTNONE);
}
static inline bool pte_present(pte_t pte)
{
	return pte.val & PTE_PRESENT;
}

/*
 * The functions below test and change bits that mean what their names say only in an entry that maps a page. In other
 * entries they are parts of a slot's number, or say which kind of marker it is: the caller has checked the kind before
 * (pte_kind(), pte_maps_page()).
 */
#define assert_pte_maps_page(pte) ASSERT(pte_maps_page(pte), "protection bits are those of an entry that maps a page")

static inline bool pte_write(pte_t pte)
{
	assert_pte_maps_page(pte);
	return pte.val & PTE_WRITE;
}
static inline bool pte_user(pte_t pte)
{
	assert_pte_maps_page(pte);
	return pte.val & PTE_USER;
}
static inline bool pte_exec(pte_t pte)
{
	assert_pte_maps_page(pte);
	return !(pte.val & PTE_NX);
}
static inline bool pte_special(pte_t pte)
{
	assert_pte_maps_page(pte);
	return pte.val & PTE_SPECIAL;
}
static inline bool pte_dirty(pte_t pte)
{
	assert_pte_maps_page(pte);
	return pte.val & PTE_DIRTY;
}
static inline bool pte_young(pte_t pte)
{
	assert_pte_maps_page(pte);
	return pte.val & PTE_ACCESSED;
}
static inline bool pte_soft_dirty(pte_t pte)
{
	assert_pte_maps_page(pte);
	return pte.val & PTE_SOFT_DIRTY;
}
static inline unsigned pte_pkey(pte_t pte)
{
	assert_pte_maps_page(pte);
	return (unsigned)((pte.val & PTE_KEY) >> PTE_KEY_SHIFT);
}
static inline bool pte_same(pte_t a, pte_t b)
{
	return a.val == b.val;
}
static inline bool pmd_same(pmd_t a, pmd_t b)
{
	return a.val == b.val;
}
static inline struct page *pte_page(pte_t pte)
{
	assert_pte_maps_page(pte);
	return phys_to_page(pte.val & PTE_FRAME);
}
/*
 * The page that counts this entry as a mapping: the zero page and entries without a page are not counted.
 *
 * Returns: the page, or NULL.
 */
static inline struct page *pte_counted_page(pte_t pte)
{
	return pte_maps_page(pte) && !pte_special(pte) ? pte_page(pte) : NULL;
}

/*
 * An entry that maps the page.
 * @prot: a value of vma_page_prot(): hardware bits without the frame, PROTNONE instead of PRESENT for PROT_NONE.
 */
static inline pte_t pte_make(const struct page *page, u64 prot)
{
	return (pte_t){ page_to_phys(page) | prot };
}
/*
 * Changes the protection and keeps frame, accessed, dirty and software bits. Never adds write permission by itself.
 * @prot: as for pte_make().
 *
 * Returns: the new entry.
 */
static inline pte_t pte_modify(pte_t pte, u64 prot)
{
	const u64 keep =
		PTE_FRAME | PTE_ACCESSED | PTE_DIRTY | PTE_SPECIAL | PTE_SOFT_DIRTY | PTE_UFFD_WP | PTE_EXCLUSIVE;

	assert_pte_maps_page(pte);
	return (pte_t){ (pte.val & keep) | (prot & ~PTE_WRITE) };
}
static inline pte_t pte_mkwrite(pte_t pte)
{
	assert_pte_maps_page(pte);
	return (pte_t){ pte.val | PTE_WRITE | PTE_DIRTY | PTE_ACCESSED };
}
static inline pte_t pte_wrprotect(pte_t pte)
{
	assert_pte_maps_page(pte);
	return (pte_t){ pte.val & ~PTE_WRITE };
}
/* As if the page had not been accessed through this entry. */
static inline pte_t pte_mkold(pte_t pte)
{
	assert_pte_maps_page(pte);
	return (pte_t){ pte.val & ~PTE_ACCESSED };
}

/* The entry's lock is that of the page table that it is in. */
#define assert_entry_locked(ptep)                                                                                      \
	ASSERT(spin_is_locked_by_me(&virt_to_page(ptep)->ptl), "an entry changes under the lock of its page table")

/*
 * The CPU and other faults read and write entries concurrently: so an entry is read once, and a live one is changed
 * only atomically (xchg, cmpxchg).
 */
static inline pte_t pte_read(const pte_t *ptep)
{
	return (pte_t){ machine_read_entry(&ptep->val) };
}
static inline pmd_t pmd_read(const pmd_t *pmdp)
{
	return (pmd_t){ load_acquire(&pmdp->val) };
}
/*
 * Sets an entry that is none: no CPU can be using it. Publishes the page's contents.
 *
 * Context: any. The entry's lock is held, or no other thread knows the table.
 */
static inline void pte_set(pte_t *ptep, pte_t pte)
{
	machine_write_entry(&ptep->val, pte.val);
}
/*
 * Replaces a live entry.
 *
 * Context: the entry's lock held.
 * Returns: the old value, with the accessed and dirty bits that the CPU set up to this moment.
 */
static inline pte_t pte_xchg(pte_t *ptep, pte_t pte)
{
	assert_entry_locked(ptep);
	return (pte_t){ atomic_xchg(&ptep->val, pte.val) };
}
/* Replaces a live entry if it is still `old`. Context: the entry's lock held. Returns: true if it was. */
static inline bool pte_cas(pte_t *ptep, pte_t old, pte_t pte)
{
	assert_entry_locked(ptep);
	return atomic_cas(&ptep->val, old.val, pte.val);
}
/*
 * Sets bits of an entry that maps a page; the CPU may set other bits concurrently.
 *
 * Context: the entry's lock held.
 * Returns: the old value.
 */
static inline pte_t pte_set_bits(pte_t *ptep, u64 bits)
{
	pte_t old = { atomic_or(&ptep->val, bits) };

	assert_entry_locked(ptep);
	assert_pte_maps_page(old);
	return old;
}
/* Clears bits likewise. Context: the entry's lock held. Returns: the old value. */
static inline pte_t pte_clear_bits(pte_t *ptep, u64 bits)
{
	pte_t old = { atomic_and(&ptep->val, ~bits) };

	assert_entry_locked(ptep);
	assert_pte_maps_page(old);
	return old;
}

/* ---- Upper entries. Context: any. -------------------------------------------------------------------------------- */
static inline bool pmd_none(pmd_t pmd)
{
	return pmd.val == 0;
}
static inline bool pmd_huge(pmd_t pmd)
{
	return pmd.val & PTE_HUGE;
}
/* Asks whether the entry is not a well-formed pointer to a table: true also for none and huge. */
static inline bool pmd_bad(pmd_t pmd)
{
	return (pmd.val & (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_HUGE)) != (PTE_PRESENT | PTE_WRITE | PTE_USER);
}
static inline struct page *pmd_table(pmd_t pmd)
{
	return phys_to_page(pmd.val & PTE_FRAME);
}
static inline unsigned table_index(vaddr_t addr, unsigned level)
{
	return (addr >> (PAGE_SHIFT + 9 * (level - 1))) & (PTRS_PER_TABLE - 1);
}
static inline pte_t *pte_offset(pmd_t pmd, vaddr_t addr)
{
	return (pte_t *)phys_to_virt(pmd.val & PTE_FRAME) + table_index(addr, 1);
}
static inline spinlock_t *pte_lockptr(pmd_t pmd)
{
	return &pmd_table(pmd)->ptl;
}

/* ---- The walker -------------------------------------------------------------------------------------------------- */

enum pt_state {
	PT_TABLE,      /* pmd holds a page table: pte_offset() is valid */
	PT_NONE,       /* the PMD entry exists and is none */
	PT_NONE_UPPER, /* an upper table is missing; `level` tells which entry is none */
	PT_HUGE,       /* a large page: no page table below */
	PT_BAD,	       /* an entry that makes no sense: a kernel bug */
};

struct pt_walk {
	enum pt_state state;
	unsigned level; /* of the entry where the walk ended: 2 for PT_TABLE and PT_NONE */
	pmd_t *pmdp;	/* that entry */
	pmd_t pmd;	/* its value, read once */
};

/*
 * A large page is mapped where a page table was expected: it has appeared during the fault. The caller leaves it alone,
 * and has the access retried. As Linux's pmd_trans_unstable().
 *
 * Context: any.
 */
static inline bool pt_walk_unstable(const struct pt_walk *walk)
{
	return walk->state == PT_HUGE;
}

/*
 * Walks down to the PMD entry of addr, without taking a lock. Under RCU alone the tables may already be unlinked, but
 * they stay readable.
 *
 * Context: mmap_lock or a VMA lock or an RCU section held. Does not sleep.
 * Returns: where the walk ended.
 */
struct pt_walk pt_walk(struct mm *mm, vaddr_t addr);

/*
 * Walks like pt_walk(), and builds the tables that are missing, the page table included. The lock keeps tables from
 * being freed.
 *
 * Context: mmap_lock or a VMA lock held. Sleeps only for memory, and not in a fault.
 * Returns: state PT_TABLE, PT_HUGE or PT_BAD; PT_NONE or PT_NONE_UPPER when there is no memory.
 */
struct pt_walk pt_build(struct mm *mm, vaddr_t addr);

/*
 * Allocates a page table for addr without linking it, and builds the missing tables above it, for callers that will
 * hold a page lock and so must not allocate later.
 *
 * Context: mmap_lock or a VMA lock held. Sleeps only for memory, and not in a fault.
 * Returns: the table; NULL without memory.
 */
struct page *pt_prealloc(struct mm *mm, vaddr_t addr);
/*
 * Links the table and sets *table to NULL, unless there is a table by then; with *table NULL it only walks.
 *
 * Context: mmap_lock or a VMA lock held. Does not sleep.
 * Returns: as pt_walk().
 */
struct pt_walk pt_install(struct mm *mm, vaddr_t addr, struct page **table);
/* Frees a table that pt_install() has not linked. Context: thread. Does not sleep. */
void pt_prealloc_free(struct mm *mm, struct page *table);

/*
 * The iterator: every page table in [start, end), one at a time, its entries locked while the body looks at it.
 *
 *	struct pt_iter it;
 *	pt_for_each_table (&it, mm, start, end)
 *		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++)
 *			...
 *
 * The body may not sleep. It may not `break` without calling pt_iter_end().
 */
struct pt_iter {
	struct mm *mm;
	vaddr_t addr; /* the address of *pte */
	vaddr_t stop; /* end of the range in this table */
	vaddr_t end;  /* end of the whole range */
	pte_t *pte;
	struct page *table; /* locked; NULL before the first and after the last table */
};
/* Begins the iteration. Context: mmap_lock held. Does not sleep. */
void pt_iter_begin(struct pt_iter *it, struct mm *mm, vaddr_t start, vaddr_t end);
/*
 * Moves to the next table, which it locks.
 *
 * Context: mmap_lock held. Does not sleep.
 * Returns: true: it->table is locked; false after the last table.
 */
bool pt_iter_next(struct pt_iter *it);
/* Unlocks the table. Context: thread. Does not sleep. */
void pt_iter_end(struct pt_iter *it);
/*
 * Unlocks the table; pt_iter_next() returns to it. For callers that must sleep in between, at the start of the range in
 * this table.
 *
 * Context: thread. Does not sleep.
 */
void pt_iter_again(struct pt_iter *it);
#define pt_for_each_table(it, mm, start, end) for (pt_iter_begin((it), (mm), (start), (end)); pt_iter_next(it);)

/*
 * Locks the page table of addr.
 * @ptl: set to its lock.
 *
 * Context: mmap_lock or a VMA lock held. Does not sleep.
 * Returns: the entry that maps addr; NULL if there is no page table.
 */
pte_t *pte_lock(struct mm *mm, vaddr_t addr, spinlock_t **ptl);

/*
 * Allocates the top table of an mm, which shares the kernel's half.
 *
 * Context: thread. Sleeps only for memory.
 * Returns: the table; NULL without memory.
 */
pmd_t *pgd_alloc(struct mm *mm);
/* Frees it, when no other table is left. Context: thread. Does not sleep. */
void pgd_free(struct mm *mm, pmd_t *pgd);

/*
 * Frees unlinked and flushed tables (linked by rcu.next) after a grace period: speculation may be walking them.
 *
 * Context: any.
 */
void tables_free_rcu(struct page *tables);
/* Unlocked: approximate. Context: any. Returns: the number of page tables of all address spaces. */
u64 pgtable_nr_pages(void);

/* Logs the walk of addr, level by level, from the table of level 4 on. A panic uses it. Context: any. */
void pt_dump_walk(const pmd_t *table, vaddr_t addr);

struct tlb_gather;
/*
 * Frees the page tables that no VMA can need once [start, end) is unmapped: floor and ceiling are the end of the VMA
 * below and the start of the one above (0 and USER_END where there is none).
 *
 * Context: mmap_lock held for writing. Does not sleep. The range is zapped, and its VMAs are detached.
 */
void free_tables(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end, vaddr_t floor, vaddr_t ceiling);

#endif
