/* SPDX-License-Identifier: MIT */
/*
 * The simulated CPU's memory management unit: a TLB, paging-structure caches, the walk that sets accessed and dirty
 * bits, and user-mode accesses through them.
 *
 * A cached translation stays until it is flushed, is evicted at random, or causes a fault: exactly as long as a real
 * CPU may keep it. Behaviour that the kernel must not rely on is random: that an interrupt is taken at once, that only
 * translations in use are cached, that a flushed one is not read again at once, that a CPU reads the entry before it
 * faults. Each frame has a generation, which changes when the frame is freed: the use of a translation of an older
 * generation fails the test, since a shootdown is missing.
 */
#include "sim_internal.h"

#include <time.h>

#include "mm/reclaim/reclaim.h"
#include "mm/table/pgtable.h"
#include "mm/table/tlb.h"

struct sim_mmu_quirks sim_quirks = { .evict = 16, .look_ahead = 64, .stale_fault = 512, .refill = 512, .late = 256 };

unsigned sim_nr_keys = 1;
_Thread_local u32 sim_keys;

void sim_have_keys(void)
{
	sim_nr_keys = 16;
}

/*
 * A fault may recur until another thread takes its next step, for example on a page that truncation is about to unmap.
 * After the first hundred, each one sleeps briefly so that the host runs that thread: an unlucky scheduler must not
 * look like an endless loop.
 */
#define PATIENT_FAULTS 100
#define MAX_FAULTS_IN_A_ROW 20000
#define PAGES_AHEAD 8

static bool by_chance(unsigned in_1024)
{
	return sim_random_below(1024) < in_1024;
}

/* ---- The TLB and the paging-structure caches --------------------------------------------------------------------- */

static struct tlb_entry *tlb_find(struct sim_cpu *cpu, u64 vpn)
{
	for (unsigned way = 0; way < TLB_WAYS; way++) {
		struct tlb_entry *entry = &cpu->tlb[vpn % TLB_SETS][way];

		if (entry->valid && entry->vpn == vpn)
			return entry;
	}
	return NULL;
}

static u8 pte_key(pte_t pte)
{
	return (pte.val & PTE_KEY) >> PTE_KEY_SHIFT;
}

/* Checked at each access, since the rights belong to the thread and change without a flush. */
static bool key_opens(u8 key, enum fault_access access)
{
	return access == ACCESS_EXEC || key_permits(sim_keys, key, access == ACCESS_WRITE);
}

static struct tlb_entry *tlb_fill(struct sim_cpu *cpu, vaddr_t addr, pte_t pte)
{
	u64 vpn = addr >> PAGE_SHIFT;
	struct tlb_entry *entry = tlb_find(cpu, vpn);

	if (!entry)
		entry = &cpu->tlb[vpn % TLB_SETS][sim_random_below(TLB_WAYS)];
	*entry = (struct tlb_entry){
		.valid = true,
		.writable = pte_write(pte),
		.executable = !(pte.val & PTE_NX),
		.dirty = pte_dirty(pte),
		.key = pte_key(pte),
		.vpn = vpn,
		.pfn = (pte.val & PTE_FRAME) >> PAGE_SHIFT,
		.generation = sim_frame_generation((pte.val & PTE_FRAME) >> PAGE_SHIFT),
	};
	return entry;
}

static u64 psc_tag(vaddr_t addr, unsigned level)
{
	return addr >> (PAGE_SHIFT + 9 * (level - 1));
}

static void psc_fill(struct sim_cpu *cpu, vaddr_t addr, unsigned level, pfn_t table)
{
	struct psc_entry *set = cpu->psc[level];
	unsigned slot = (unsigned)sim_random_below(PSC_ENTRIES);

	for (unsigned i = 0; i < PSC_ENTRIES; i++)
		if (set[i].valid && set[i].tag == psc_tag(addr, level))
			slot = i;
	set[slot] = (struct psc_entry){ true, psc_tag(addr, level), table, sim_frame_generation(table) };
}

/* Looks up the table below an entry of this level in the paging-structure caches. Returns false if it is not cached. */
static bool psc_find(struct sim_cpu *cpu, vaddr_t addr, unsigned level, pfn_t *table)
{
	for (unsigned i = 0; i < PSC_ENTRIES; i++) {
		const struct psc_entry *entry = &cpu->psc[level][i];

		if (!entry->valid || entry->tag != psc_tag(addr, level))
			continue;
		if (entry->generation != sim_frame_generation(entry->table))
			sim_fail("address %#lx is translated by a page table that was freed (frame %#lx, level %u)",
				 (unsigned long)addr, (unsigned long)entry->table, level - 1);
		*table = entry->table;
		return true;
	}
	return false;
}

static void psc_drop(struct sim_cpu *cpu, vaddr_t start, vaddr_t end)
{
	for (unsigned level = 2; level <= 4; level++)
		for (unsigned i = 0; i < PSC_ENTRIES; i++) {
			u64 tag = cpu->psc[level][i].tag;

			if (tag >= psc_tag(start, level) && tag <= psc_tag(end - 1, level))
				cpu->psc[level][i].valid = false;
		}
}

static void drop(struct sim_cpu *cpu, vaddr_t start, vaddr_t end)
{
	for (unsigned set = 0; set < TLB_SETS; set++)
		for (unsigned way = 0; way < TLB_WAYS; way++) {
			struct tlb_entry *entry = &cpu->tlb[set][way];

			if (end == ~0UL || (entry->vpn >= start >> PAGE_SHIFT && entry->vpn < end >> PAGE_SHIFT))
				entry->valid = false;
		}
	psc_drop(cpu, start, end);
}

/*
 * A flush before the entry has changed is useless: the CPU may read the old entry again at once. The simulated CPU does
 * so only where this sets no accessed bit, which tests of reclaim would see.
 */
static void refill(struct sim_cpu *cpu, vaddr_t start, vaddr_t end)
{
	vaddr_t addr = end - start <= PAGES_AHEAD * PAGE_SIZE ? start : cpu->last_access;

	if (cpu->mm && by_chance(sim_quirks.refill) && sim_pte(cpu->mm, addr).val & PTE_ACCESSED)
		sim_look_ahead(addr);
}

void machine_tlb_flush_local(vaddr_t start, vaddr_t end)
{
	struct sim_cpu *cpu = sim_this_cpu();

	drop(cpu, start, end);
	refill(cpu, start, end);
}

void machine_load_pgd(paddr_t pgd)
{
	struct sim_cpu *cpu = sim_this_cpu();

	cpu->pgd = pgd;
	cpu->pgd_generation = sim_frame_generation(pgd >> PAGE_SHIFT);
	drop(cpu, 0, ~0UL);
}

void machine_init_pgd(u64 *pgd)
{
	(void)pgd; /* the kernel under test does not run on its own page tables */
}

bool sim_tlb_holds(vaddr_t addr)
{
	return tlb_find(sim_this_cpu(), addr >> PAGE_SHIFT) != NULL;
}

bool sim_knows_table(vaddr_t addr)
{
	pfn_t table;

	return psc_find(sim_this_cpu(), addr, 2, &table);
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

static u64 *table_entry(pfn_t table, vaddr_t addr, unsigned level)
{
	return (u64 *)phys_to_virt(table << PAGE_SHIFT) + table_index(addr, level);
}

/* Starts as far down as the paging-structure caches allow. Returns the level of `*table`. */
static unsigned walk_start(struct sim_cpu *cpu, vaddr_t addr, pfn_t *table)
{
	for (unsigned level = 2; level <= 4; level++)
		if (psc_find(cpu, addr, level, table))
			return level - 1;
	*table = cpu->pgd >> PAGE_SHIFT;
	if (cpu->pgd_generation != sim_frame_generation(*table))
		sim_fail("address %#lx is translated by page tables that were freed", (unsigned long)addr);
	return 4;
}

/* Descends to the page table of addr. Returns false if an entry on the way is not present. */
static bool walk_to_leaf(struct sim_cpu *cpu, vaddr_t addr, pfn_t *table)
{
	for (unsigned level = walk_start(cpu, addr, table); level > 1; level--) {
		u64 *entry = table_entry(*table, addr, level);
		u64 value = load_acquire(entry);

		if (!(value & PTE_PRESENT))
			return false;
		if (value & PTE_HUGE || !(value & PTE_USER) || !(value & PTE_WRITE))
			sim_fail("level %u entry %#lx of address %#lx is not a user's table", level,
				 (unsigned long)value, (unsigned long)addr);
		if (!(value & PTE_ACCESSED))
			(void)atomic_cas(entry, value, value | PTE_ACCESSED);
		*table = (value & PTE_FRAME) >> PAGE_SHIFT;
		psc_fill(cpu, addr, level, *table);
	}
	return true;
}

static bool permits(pte_t pte, enum fault_access access)
{
	return (pte.val & PTE_USER) && (access != ACCESS_WRITE || pte_write(pte)) &&
	       (access != ACCESS_EXEC || !(pte.val & PTE_NX));
}

/* Walks the page tables. Returns NULL if the CPU must raise a page fault. */
static struct tlb_entry *walk(struct sim_cpu *cpu, vaddr_t addr, enum fault_access access)
{
	pfn_t table;
	pte_t *ptep, pte, marked;

	if (!walk_to_leaf(cpu, addr, &table))
		return NULL;
	ptep = (pte_t *)table_entry(table, addr, 1);
	do {
		pte = pte_read(ptep);
		if (!pte_present(pte) || !permits(pte, access) || !key_opens(pte_key(pte), access))
			return NULL;
		marked.val = pte.val | PTE_ACCESSED | (access == ACCESS_WRITE ? PTE_DIRTY : 0);
	} while (!pte_same(pte, marked) && !atomic_cas(&ptep->val, pte.val, marked.val)); /* a CPU takes no lock */
	return tlb_fill(cpu, addr, marked);
}

/* On a page fault the CPU drops what it has cached for the address. */
static void forget(struct sim_cpu *cpu, vaddr_t addr)
{
	struct tlb_entry *entry = tlb_find(cpu, addr >> PAGE_SHIFT);

	if (entry)
		entry->valid = false;
	psc_drop(cpu, addr, addr + 1);
}

/* A write through a translation that is already dirty sets no dirty bit, so no other CPU may have cleared the bit. */
static void check_dirty_bit(struct sim_cpu *cpu, const struct tlb_entry *entry, vaddr_t addr)
{
	pte_t pte = sim_pte(cpu->mm, addr);

	if (page_test(pfn_to_page(entry->pfn), PG_LAZYFREE))
		return; /* MADV_FREE clears the bit, and this translation is valid until its flush */
	if (pte_present(pte) && pte_write(pte) && !pte_dirty(pte) && (pte.val & PTE_FRAME) >> PAGE_SHIFT == entry->pfn)
		sim_fail("the dirty bit of address %#lx was lost: its entry is %#lx", (unsigned long)addr,
			 (unsigned long)pte.val);
}

/*
 * The old translation must be flushed before the entry maps another page (K5): no two CPUs ever see different pages at
 * an address.
 */
static void check_frame(struct sim_cpu *cpu, const struct tlb_entry *entry, vaddr_t addr)
{
	pte_t pte = sim_pte(cpu->mm, addr);

	if (pte_present(pte) && page_to_pfn(pte_page(pte)) != entry->pfn)
		sim_fail("address %#lx is accessed in frame %#lx, while its entry %#lx maps another one already",
			 (unsigned long)addr, (unsigned long)entry->pfn, (unsigned long)pte.val);
}

static bool entry_serves(const struct tlb_entry *entry, enum fault_access access)
{
	switch (access) {
	case ACCESS_WRITE:
		return entry->writable && entry->dirty;
	case ACCESS_EXEC:
		return entry->executable;
	default:
		return true;
	}
}

/* The cached translation forbids the access: a page fault, unless the CPU reads the entry again first. */
static bool forbids(const struct tlb_entry *entry, enum fault_access access)
{
	return (access == ACCESS_WRITE && !entry->writable) || (access == ACCESS_EXEC && !entry->executable);
}

/* Returns NULL if the CPU must raise a page fault. */
static struct tlb_entry *translate(struct sim_cpu *cpu, vaddr_t addr, enum fault_access access)
{
	struct tlb_entry *entry = tlb_find(cpu, addr >> PAGE_SHIFT);

	cpu->last_access = addr;
	if (entry && entry_serves(entry, access) && key_opens(entry->key, access)) {
		if (entry->generation != sim_frame_generation(entry->pfn))
			sim_fail("address %#lx is accessed through a stale translation, after its frame %#lx was freed",
				 (unsigned long)addr, (unsigned long)entry->pfn);
		check_frame(cpu, entry, addr);
		if (access == ACCESS_WRITE)
			check_dirty_bit(cpu, entry, addr);
		return entry;
	}
	if (entry && forbids(entry, access) && by_chance(sim_quirks.stale_fault))
		entry = NULL;
	else
		entry = walk(cpu, addr, access);
	if (!entry)
		forget(cpu, addr);
	return entry;
}

struct pt_walk sim_walk(struct mm *mm, vaddr_t addr)
{
	struct pt_walk walk;

	rcu_read_lock();
	walk = pt_walk(mm, addr);
	rcu_read_unlock();
	return walk;
}

struct vma *sim_vma(struct mm *mm, vaddr_t addr)
{
	struct vma *vma;

	rcu_read_lock();
	vma = vma_tree_find(&mm->tree, addr);
	rcu_read_unlock();
	return vma;
}

u64 sim_check_tree(struct mm *mm)
{
	u64 nr_vmas;

	mmap_read_lock(mm);
	nr_vmas = vma_tree_check(&mm->tree);
	mmap_read_unlock(mm);
	return nr_vmas;
}

pte_t *sim_pte_lock(struct mm *mm, vaddr_t addr, spinlock_t **ptl)
{
	pte_t *pte;

	mmap_read_lock(mm);
	pte = pte_lock(mm, addr, ptl);
	mmap_read_unlock(mm);
	return pte;
}

pte_t sim_pte(struct mm *mm, vaddr_t addr)
{
	struct pt_walk walk = sim_walk(mm, addr);

	return walk.state == PT_TABLE ? pte_read(pte_offset(walk.pmd, addr)) : (pte_t){ 0 };
}

/* ---- User mode --------------------------------------------------------------------------------------------------- */

/* One user-mode access. */
struct user_op {
	enum fault_access access;
	bool compare;
	u64 value, expect;
	u64 result;
};

static void perform(struct user_op *op, u64 *word)
{
	if (op->compare) {
		op->result = op->expect;
		__atomic_compare_exchange_n(word, &op->result, op->value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	} else if (op->access == ACCESS_WRITE) {
		WRITE_ONCE(*word, op->value);
	} else {
		op->result = READ_ONCE(*word);
	}
}

/* Returns false on a page fault. */
static bool try_op(struct user_op *op, vaddr_t addr)
{
	struct tlb_entry *entry;

	if (addr >= USER_END)
		return false;
	entry = translate(sim_this_cpu(), addr, op->access);
	if (!entry)
		return false;
	perform(op, (u64 *)phys_to_virt(entry->pfn << PAGE_SHIFT) + (addr % PAGE_SIZE) / sizeof(u64));
	return true;
}

/* ---- Entries in two halves --------------------------------------------------------------------------------------- */

struct sim_tearing *sim_tearing;

static void stand_between_the_halves(const u64 *entry, bool writes)
{
	if (sim_tearing->entry != entry || sim_tearing->cpu != cpu_id() || sim_tearing->writes != writes ||
	    sim_tearing->stopped)
		return;
	store_release(&sim_tearing->stopped, true);
	while (!load_acquire(&sim_tearing->go_on))
		cpu_relax();
}

u64 sim_read_entry(const u64 *entry)
{
	u64 low_half = (1UL << sim_tearing->low_bits) - 1, before = load_acquire(entry), after, value;

	stand_between_the_halves(entry, false);
	after = load_acquire(entry);
	value = (before & low_half) | (after & ~low_half);
	if (value != before && value != after)
		atomic_inc(&sim_tearing->nr_torn);
	return value;
}

/* Writes the half with the present bit last. */
void sim_write_entry(u64 *entry, u64 value)
{
	u64 low_half = (1UL << sim_tearing->low_bits) - 1;

	store_release(entry, value & ~low_half);
	stand_between_the_halves(entry, true);
	store_release(entry, value);
}

void sim_look_ahead(vaddr_t addr)
{
	if (addr < USER_END && sim_this_cpu()->pgd)
		(void)walk(sim_this_cpu(), addr, ACCESS_READ);
}

void sim_user_boundary(void)
{
	struct sim_cpu *cpu = sim_this_cpu();

	if (!by_chance(sim_quirks.late))
		sim_poll_interrupts();
	rcu_quiescent();
	if (irqs_enabled()) /* a script may have disabled this CPU's interrupts */
		rcu_run_callbacks();
	if (by_chance(sim_quirks.evict)) {
		cpu->tlb[sim_random_below(TLB_SETS)][sim_random_below(TLB_WAYS)].valid = false;
		cpu->psc[2 + sim_random_below(3)][sim_random_below(PSC_ENTRIES)].valid = false;
	}
}

_Thread_local u64 sim_user_ip;

static enum fault_answer user_op(struct user_op *op, vaddr_t addr)
{
	struct mm *mm = sim_this_cpu()->mm;
	enum fault_answer answer = FAULT_DONE;

	sim_user_ip++;
	BUG_ON(!mm, "user mode needs an address space");
	for (unsigned faults = 0; answer == FAULT_DONE; faults++) {
		bool done = try_op(op, addr);

		if (!done)
			answer = fault_in(mm, addr, op->access, FAULT_USER);
		if (answer == FAULT_OUT_OF_MEMORY && reclaim_pages(RECLAIM_BATCH))
			answer = FAULT_DONE; /* as in the kernel's #PF handler: the access is retried */
		if (!done && answer == FAULT_DONE)
			thread_count_fault();
		assert_no_locks_held("the way back to user mode began");
		if (by_chance(sim_quirks.look_ahead))
			sim_look_ahead(addr + (sim_random_below(16) - 8) * PAGE_SIZE);
		sim_user_boundary();
		if (done)
			break;
		if (faults > PATIENT_FAULTS)
			nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
		if (faults == MAX_FAULTS_IN_A_ROW)
			sim_fail("address %#lx faults again and again: its entry is %#lx", (unsigned long)addr,
				 (unsigned long)sim_pte(mm, addr).val);
	}
	return answer;
}

enum fault_answer sim_read(vaddr_t addr, u64 *value)
{
	struct user_op op = { .access = ACCESS_READ };
	enum fault_answer answer = user_op(&op, addr);

	*value = op.result;
	return answer;
}

enum fault_answer sim_write(vaddr_t addr, u64 value)
{
	struct user_op op = { .access = ACCESS_WRITE, .value = value };

	return user_op(&op, addr);
}

enum fault_answer sim_exec(vaddr_t addr)
{
	struct user_op op = { .access = ACCESS_EXEC };

	return user_op(&op, addr);
}

enum fault_answer sim_cmpxchg(vaddr_t addr, u64 expect, u64 value, u64 *old)
{
	struct user_op op = { .access = ACCESS_WRITE, .compare = true, .value = value, .expect = expect };
	enum fault_answer answer = user_op(&op, addr);

	*old = op.result;
	return answer;
}

bool sim_try_read(vaddr_t addr, u64 *value)
{
	struct user_op op = { .access = ACCESS_READ };
	bool done = try_op(&op, addr);

	*value = op.result;
	sim_user_boundary();
	return done;
}

bool sim_try_write(vaddr_t addr, u64 value)
{
	struct user_op op = { .access = ACCESS_WRITE, .value = value };
	bool done = try_op(&op, addr);

	sim_user_boundary();
	return done;
}

bool sim_try_exec(vaddr_t addr)
{
	struct user_op op = { .access = ACCESS_EXEC };
	bool done = try_op(&op, addr);

	sim_user_boundary();
	return done;
}

/* ---- Address spaces ---------------------------------------------------------------------------------------------- */

static void switch_mm(struct mm *next)
{
	struct sim_cpu *cpu = sim_this_cpu();
	unsigned long flags = irq_save();

	mm_switch_cpu(cpu->mm, next);
	cpu->mm = next;
	irq_restore(flags);
}

void sim_use_mm(struct mm *mm)
{
	BUG_ON(sim_this_cpu()->mm, "a thread has one address space");
	mmget(mm);
	switch_mm(mm);
}

void sim_leave_mm(void)
{
	struct mm *mm = sim_this_cpu()->mm;

	switch_mm(NULL);
	mmput(mm);
}
