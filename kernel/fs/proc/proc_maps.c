/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/maps, smaps and pagemap, which show an address space as a list of VMAs and as a list of pages; and
 * proc_peek(), which reads another address space. Holds mmap_lock for reading while it looks at VMAs and page tables,
 * and a page table's PTE lock while it looks at the entries; never accesses user memory with either held.
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/fs/super.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/x86/vsyscall.h"
#include "mm/fault.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/cache/mapping.h"
#include "mm/vma/mm.h"
#include "mm/page/page_alloc.h"
#include "mm/reclaim/reclaim.h"
#include "mm/page/slab.h"
#include "mm/swap/shmem_swap.h"
#include "mm/swap/swap.h"
#include "mm/vma/vma.h"

#define NAME_COLUMN 72 /* Linux pads a line to this column before a name, and adds one space */
#define SHMEM_DEVICE 1 /* shared anonymous memory shows the device of the kernel's own tmpfs, 00:01 */

/* --- maps --- */

static void maps_show_name(struct text *text, size_t line, const char *name)
{
	text_pad(text, line, NAME_COLUMN);
	text_printf(text, " ");
	for (; *name; name++) {
		if (*name == '\n')
			text_printf(text, "\\012");
		else
			text_append(text, name, 1);
	}
}

/* The vsyscall page: it is in every address space, but in no tree of VMAs. */
static const struct vma gate_vma = { .start = VSYSCALL_PAGE, .end = VSYSCALL_PAGE + PAGE_SIZE, .flags = VM_EXEC };

/* `path` is a buffer of PATH_MAX bytes. */
static void show_vma_name(struct text *text, size_t line, const struct vma *vma, char *path)
{
	const struct mm *mm = vma->mm;

	if (vma == &gate_vma) {
		maps_show_name(text, line, "[vsyscall]");
	} else if (vma->file) {
		char *name = file_path(vma->file, path, PATH_MAX);
		maps_show_name(text, line, name ? name : "");
	} else if (vma->ops && vma->ops->name) {
		maps_show_name(text, line, vma->ops->name);
	} else if (vma->ops) {
		return;
	} else if (vma->start < mm->brk && vma->end > mm->start_brk) {
		maps_show_name(text, line, "[heap]");
	} else if (vma->start <= mm->start_stack && vma->end >= mm->start_stack) {
		maps_show_name(text, line, "[stack]");
	}
}

static void show_vma(struct text *text, const struct vma *vma, char *path)
{
	const struct inode *inode = vma->file ? vma->file->inode : NULL;
	u64 offset = vma->ops || vma->file ? vma->pgoff << PAGE_SHIFT : 0;
	size_t line = text->length;

	text_printf(text, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", vma->start, vma->end,
		    vma->flags & VM_READ ? 'r' : '-', vma->flags & VM_WRITE ? 'w' : '-',
		    vma->flags & VM_EXEC ? 'x' : '-', vma->flags & VM_MAYSHARE ? 's' : 'p', offset, 0,
		    inode      ? inode->sb->dev
		    : vma->ops ? SHMEM_DEVICE
			       : 0,
		    inode      ? inode->ino
		    : vma->ops ? 1UL
			       : 0UL);
	show_vma_name(text, line, vma, path);
	text_printf(text, "\n");
}

typedef void visit_vma_t(struct text *text, const struct vma *vma, char *path, void *arg);

static int visit_vmas(struct text *text, struct mm *mm, char *path, visit_vma_t *visit, void *arg)
{
	struct vma *vma;
	int ret = down_read_killable(&mm->mmap_lock);

	if (ret)
		return ret;
	vma_tree_for_each (vma, &mm->tree) {
		visit(text, vma, path, arg);
		cond_resched();
	}
	mmap_read_unlock(mm);
	visit(text, &gate_vma, path, arg);
	return 0;
}

/*
 * Calls visit for every VMA of the process, under mmap_lock, and then for gate_vma, without it. A process without an
 * address space has none.
 */
static int for_each_vma(struct text *text, u64 id, visit_vma_t *visit, void *arg)
{
	struct proc_target target;
	char *path;
	int ret = proc_target_get(id, &target);

	if (ret)
		return ret;
	path = kmalloc(PATH_MAX, ALLOC_WAIT);
	if (!path)
		ret = -ENOMEM;
	else if (target.mm)
		ret = visit_vmas(text, target.mm, path, visit, arg);
	kfree(path);
	proc_target_put(&target);
	return ret;
}

static void visit_maps(struct text *text, const struct vma *vma, char *path, void *arg)
{
	(void)arg;
	show_vma(text, vma, path);
}

int proc_show_maps(struct text *text, u64 id)
{
	return for_each_vma(text, id, visit_maps, NULL);
}

/* --- pages --- */

typedef void visit_pte_t(vaddr_t addr, pte_t pte, void *arg);

/* Returns how many bytes of address space the entry at which a walk ended covers. */
static u64 walk_span(const struct pt_walk *walk)
{
	return 1UL << (PAGE_SHIFT + 9 * (walk->level - 1));
}

/* Calls visit for each entry of [start, end) that is not none, under the PTE lock. => mmap_lock held. */
static void for_each_pte(struct mm *mm, vaddr_t start, vaddr_t end, visit_pte_t *visit, void *arg)
{
	assert_mmap_locked(mm);
	for (vaddr_t addr = start, next; addr < end; addr = next) {
		struct pt_walk walk = pt_walk(mm, addr);

		next = min(align_down(addr, walk_span(&walk)) + walk_span(&walk), end);
		if (walk.state == PT_TABLE) {
			spinlock_t *lock = pte_lockptr(walk.pmd);

			spin_lock(lock);
			for (; addr < next; addr += PAGE_SIZE) {
				pte_t pte = pte_read(pte_offset(walk.pmd, addr));
				if (!pte_none(pte))
					visit(addr, pte, arg);
			}
			spin_unlock(lock);
		}
		cond_resched();
	}
}

/* Counts of pages; those with pss in the name are in 1/4096 of a page. */
struct smaps {
	u64 size, rss, pss, pss_dirty, shared_clean, shared_dirty, private_clean, private_dirty, referenced, anonymous,
		lazy_free, locked, swap, swap_pss;
	u64 pss_of[NR_RSS_KINDS];
};

/* Counts a page that is only in swap. Its share is divided among all entries that name the slot. */
static void count_swap(pte_t pte, struct smaps *s)
{
	if (pte_kind(pte) != PTE_KIND_SWAP)
		return;
	s->swap++;
	s->swap_pss += 4096 / (u64)max(swap_count(pte_swap_slot(pte)), 1u);
}

static void count_pte(vaddr_t addr, pte_t pte, void *arg)
{
	struct page *page = pte_counted_page(pte);
	struct smaps *s = arg;

	(void)addr;
	if (!page) {
		count_swap(pte, s);
		return;
	}
	/* Other threads may change mapcount concurrently: each of its values is a valid answer. */
	s32 mapcount = max(READ_ONCE(page->mapcount), 1);
	bool dirty = pte_dirty(pte) || page_test(page, PG_DIRTY);
	u64 share = 4096 / (u64)mapcount;

	s->rss++;
	s->pss += share;
	s->pss_of[page_rss_kind(page)] += share;
	s->pss_dirty += dirty ? share : 0;
	s->anonymous += page_test(page, PG_ANON);
	s->lazy_free += page_is_lazily_free(pte, page);
	s->referenced += pte_young(pte);
	if (mapcount > 1)
		*(dirty ? &s->shared_dirty : &s->shared_clean) += 1;
	else
		*(dirty ? &s->private_dirty : &s->private_clean) += 1;
}

static void count_own_entry(vaddr_t addr, pte_t pte, void *arg)
{
	(void)addr, (void)pte;
	++*(u64 *)arg;
}

/*
 * As on Linux: counts the pages of the mapping that are in swap, except those of which a private mapping has its own
 * copy. They do not count in SwapPss.
 */
static void count_shared_swap(const struct vma *vma, struct smaps *s)
{
	u64 first = vma->pgoff, last = vma->pgoff + ((vma->end - vma->start) >> PAGE_SHIFT) - 1;

	for (u64 index = first; shmem_next_in_swap(vma->mapping, &index, last); index++) {
		vaddr_t addr = vma->start + ((index - first) << PAGE_SHIFT);
		u64 nr_entries = 0;

		if (!(vma->flags & VM_SHARED))
			for_each_pte(vma->mm, addr, addr + PAGE_SIZE, count_own_entry, &nr_entries);
		s->swap += !nr_entries;
	}
}

static void count_vma(const struct vma *vma, struct smaps *s)
{
	u64 pss = s->pss;

	if (vma != &gate_vma)
		for_each_pte(vma->mm, vma->start, vma->end, count_pte, s);
	if (vma->mapping)
		count_shared_swap(vma, s);
	s->size += (vma->end - vma->start) >> PAGE_SHIFT;
	if (vma->flags & VM_LOCKED)
		s->locked += s->pss - pss;
}

static void row(struct text *text, const char *name, u64 kib)
{
	text_printf(text, "%-16s%8lu kB\n", name, kib);
}

#define KIB(pages) ((pages) << (PAGE_SHIFT - 10))
#define PSS_KIB(pss) ((pss) >> 10) /* 4096ths of 4 KiB */

static void show_rss(struct text *text, const struct smaps *s)
{
	row(text, "Rss:", KIB(s->rss));
	row(text, "Pss:", PSS_KIB(s->pss));
	row(text, "Pss_Dirty:", PSS_KIB(s->pss_dirty));
}

static void show_pages(struct text *text, const struct smaps *s)
{
	row(text, "Shared_Clean:", KIB(s->shared_clean));
	row(text, "Shared_Dirty:", KIB(s->shared_dirty));
	row(text, "Private_Clean:", KIB(s->private_clean));
	row(text, "Private_Dirty:", KIB(s->private_dirty));
	row(text, "Referenced:", KIB(s->referenced));
	row(text, "Anonymous:", KIB(s->anonymous));
	row(text, "KSM:", 0);
	row(text, "LazyFree:", KIB(s->lazy_free));
	row(text, "AnonHugePages:", 0);
	row(text, "ShmemPmdMapped:", 0);
	row(text, "FilePmdMapped:", 0);
	row(text, "Shared_Hugetlb:", 0);
	row(text, "Private_Hugetlb:", 0);
	row(text, "Swap:", KIB(s->swap));
	row(text, "SwapPss:", PSS_KIB(s->swap_pss));
	row(text, "Locked:", PSS_KIB(s->locked));
}

static void maps_show_flags(struct text *text, u64 flags)
{
	static const struct {
		u64 flag;
		char name[3];
	} names[] = {
		{ VM_READ, "rd" },	 { VM_WRITE, "wr" },	  { VM_EXEC, "ex" },	    { VM_SHARED, "sh" },
		{ VM_MAYREAD, "mr" },	 { VM_MAYWRITE, "mw" },	  { VM_MAYEXEC, "me" },	    { VM_MAYSHARE, "ms" },
		{ VM_GROWSDOWN, "gd" },	 { VM_LOCKED, "lo" },	  { VM_SEQ_READ, "sr" },    { VM_RAND_READ, "rr" },
		{ VM_DONTCOPY, "dc" },	 { VM_DONTEXPAND, "de" }, { VM_LOCKONFAULT, "lf" }, { VM_ACCOUNT, "ac" },
		{ VM_NORESERVE, "nr" },	 { VM_WIPEONFORK, "wf" }, { VM_DONTDUMP, "dd" },    { VM_HUGEPAGE, "hg" },
		{ VM_NOHUGEPAGE, "nh" }, { VM_MERGEABLE, "mg" },  { VM_DROPPABLE, "dp" },
	};

	text_printf(text, "VmFlags: ");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (flags & names[i].flag)
			text_printf(text, "%s ", names[i].name);
	}
	text_printf(text, "\n");
}

static void visit_smaps(struct text *text, const struct vma *vma, char *path, void *arg)
{
	struct smaps s = {};

	(void)arg;
	show_vma(text, vma, path);
	count_vma(vma, &s);
	row(text, "Size:", KIB(s.size));
	row(text, "KernelPageSize:", 4);
	row(text, "MMUPageSize:", 4);
	show_rss(text, &s);
	show_pages(text, &s);
	text_printf(text, "THPeligible:    %8d\n", 0);
	if (nr_keys() > 1)
		text_printf(text, "ProtectionKey:  %8u\n", vma_flags_key(vma->flags));
	maps_show_flags(text, vma->flags);
}

int proc_show_smaps(struct text *text, u64 id)
{
	return for_each_vma(text, id, visit_smaps, NULL);
}

struct rollup {
	struct smaps sum;
	vaddr_t start, end;
};

static void visit_rollup(struct text *text, const struct vma *vma, char *path, void *arg)
{
	struct rollup *rollup = arg;

	(void)text, (void)path;
	if (vma == &gate_vma)
		return;
	if (!rollup->end)
		rollup->start = vma->start;
	rollup->end = vma->end;
	count_vma(vma, &rollup->sum);
}

int proc_show_smaps_rollup(struct text *text, u64 id)
{
	struct rollup rollup = {};
	int ret = for_each_vma(text, id, visit_rollup, &rollup);
	size_t line = text->length;

	if (ret)
		return ret;
	text_printf(text, "%08lx-%08lx ---p %08x 00:00 0 ", rollup.start, rollup.end, 0);
	maps_show_name(text, line, "[rollup]");
	text_printf(text, "\n");
	show_rss(text, &rollup.sum);
	row(text, "Pss_Anon:", PSS_KIB(rollup.sum.pss_of[RSS_ANON]));
	row(text, "Pss_File:", PSS_KIB(rollup.sum.pss_of[RSS_FILE]));
	row(text, "Pss_Shmem:", PSS_KIB(rollup.sum.pss_of[RSS_SHMEM]));
	show_pages(text, &rollup.sum);
	return 0;
}

/* --- pagemap --- */

#define PM_SOFT_DIRTY (1UL << 55)
#define PM_EXCLUSIVE (1UL << 56)
#define PM_FILE (1UL << 61)
#define PM_SWAP (1UL << 62)
#define PM_PRESENT (1UL << 63)
#define PM_SWAP_OFFSET_SHIFT 5 /* MAX_SWAPFILES_SHIFT */
#define PM_FRAME (PM_SOFT_DIRTY - 1)
#define PAGEMAP_CHUNK 512UL /* entries */

struct pagemap_chunk {
	vaddr_t start;
	u64 entry[PAGEMAP_CHUNK];
};

static void fill_pagemap(vaddr_t addr, pte_t pte, void *arg)
{
	struct pagemap_chunk *chunk = arg;
	u64 *entry = &chunk->entry[(addr - chunk->start) >> PAGE_SHIFT];

	if (pte_kind(pte) == PTE_KIND_SWAP) {
		swap_slot_t slot = pte_swap_slot(pte);

		*entry = swap_slot_area(slot) | swap_slot_offset(slot) << PM_SWAP_OFFSET_SHIFT | PM_SWAP;
		return;
	}
	if (!pte_maps_page(pte))
		return;
	*entry = page_to_pfn(pte_page(pte)) | PM_PRESENT | (pte_soft_dirty(pte) ? PM_SOFT_DIRTY : 0);
	struct page *page = pte_counted_page(pte);
	if (page)
		*entry |=
			(page_test(page, PG_CACHE) ? PM_FILE : 0) | (READ_ONCE(page->mapcount) == 1 ? PM_EXCLUSIVE : 0);
}

/* As on Linux, page frame numbers are shown only if the process was privileged when it opened the file. */
static int pagemap_open(struct file *file)
{
	file->private = process_is_privileged(current->process) ? file : NULL;
	return 0;
}

static void hide_frames(struct pagemap_chunk *chunk)
{
	for (u64 i = 0; i < PAGEMAP_CHUNK; i++)
		chunk->entry[i] &= ~PM_FRAME;
}

/*
 * Reads up to one chunk at *pos, and advances it. Returns the number of bytes, 0 at the end of the address space, or
 * -errno.
 */
static long read_chunk(struct mm *mm, struct pagemap_chunk *chunk, struct iov_iter *to, u64 *pos, bool show_frames)
{
	u64 first = *pos / sizeof(u64), nr_pages = USER_END >> PAGE_SHIFT;
	u64 nr = first < nr_pages ? min(min(nr_pages - first, PAGEMAP_CHUNK), (u64)to->count / sizeof(u64)) : 0;
	size_t size = nr * sizeof(u64), moved;

	*chunk = (struct pagemap_chunk){ .start = first << PAGE_SHIFT };
	if (down_read_killable(&mm->mmap_lock))
		return -EINTR;
	for_each_pte(mm, chunk->start, chunk->start + (nr << PAGE_SHIFT), fill_pagemap, chunk);
	mmap_read_unlock(mm);
	if (!show_frames)
		hide_frames(chunk);
	moved = iov_copy_to(to, chunk->entry, size);
	*pos += moved;
	return moved < size && !moved ? -EFAULT : (long)moved;
}

static long read_chunks(struct mm *mm, struct iov_iter *to, u64 *pos, bool show_frames)
{
	struct pagemap_chunk *chunk = kmalloc(sizeof(*chunk), ALLOC_WAIT);
	long done = 0, ret = chunk ? 0 : -ENOMEM;

	while (chunk && to->count && (ret = read_chunk(mm, chunk, to, pos, show_frames)) > 0 && !thread_killed())
		done += ret;
	kfree(chunk);
	return done ? done : ret;
}

static long pagemap_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct proc_target target;
	long ret = proc_target_get(file->inode->private_id, &target);

	if (ret)
		return ret;
	if (*pos % sizeof(u64) || to->count % sizeof(u64))
		ret = -EINVAL;
	else
		ret = target.mm ? read_chunks(target.mm, to, pos, file->private != NULL) : 0;
	proc_target_put(&target);
	return ret;
}

const struct file_ops proc_pagemap_ops = {
	.open = pagemap_open,
	.read = pagemap_read,
};

/* --- reading another address space --- */

/*
 * Returns the page that is mapped at addr, or NULL; *swapped tells whether it is in swap. The page has a reference,
 * unless it is the zero page. => mmap_lock held.
 */
static struct page *present_page(struct mm *mm, vaddr_t addr, bool *swapped)
{
	struct pt_walk walk = pt_walk(mm, addr);
	struct page *page = NULL;

	assert_mmap_locked(mm);
	*swapped = false;
	if (walk.state != PT_TABLE)
		return NULL;
	spin_lock(pte_lockptr(walk.pmd));
	pte_t pte = pte_read(pte_offset(walk.pmd, addr));
	if (pte_maps_page(pte)) {
		page = pte_page(pte);
		if (pte_counted_page(pte))
			page_get(page);
	}
	*swapped = pte_kind(pte) == PTE_KIND_SWAP;
	spin_unlock(pte_lockptr(walk.pmd));
	return page;
}

/*
 * Swaps a page in; as on Linux, whatever the VMA permits (FOLL_FORCE). Returns false if the page cannot be read, if no
 * memory can be reclaimed, or if the thread is being killed.
 */
static bool maps_bring_back(struct mm *mm, vaddr_t addr)
{
	switch (fault_swap_in(mm, addr)) {
	case FAULT_DONE:
		thread_count_fault();
		return true;
	case FAULT_OUT_OF_MEMORY:
		return make_room();
	default:
		return false;
	}
}

/* Returns the page of an address, swapped in if necessary, or NULL. It has a reference, unless it is the zero page. */
static struct page *foreign_page(struct mm *mm, vaddr_t addr)
{
	struct page *page;
	bool swapped;

	do {
		if (down_read_killable(&mm->mmap_lock))
			return NULL;
		page = present_page(mm, addr, &swapped);
		mmap_read_unlock(mm);
	} while (swapped && maps_bring_back(mm, addr));
	return page;
}

size_t proc_peek(struct mm *mm, u64 addr, void *buf, size_t n)
{
	size_t done = 0;

	assert_no_lock_from(RANK_MMAP_LOCK);
	assert_may_sleep();
	while (done < n && addr + done < USER_END) {
		u64 offset = (addr + done) & ~PAGE_MASK;
		size_t part = min(n - done, (size_t)(PAGE_SIZE - offset));
		struct page *page = foreign_page(mm, addr + done);

		if (!page)
			break;
		__builtin_memcpy((u8 *)buf + done, (u8 *)page_to_virt(page) + offset, part);
		if (page != zero_page)
			page_put(page);
		done += part;
	}
	return done;
}
