/* SPDX-License-Identifier: MIT */
/*
 * struct vma: one range of an address space with uniform flags and backing, and the per-VMA lock.
 *
 * The bracket. A VMA's bounds, flags, operations and links change only between vma_start_write() and the release of
 * mmap_lock (which is held for writing throughout). There is no other begin/end pair that a writer could forget. The
 * one exception: anon_vma goes from NULL to its value once, under mmap_lock in any mode plus the anon_vma lock,
 * published last (V7).
 *
 * The lock word, vm_refcnt: 0 detached; 1 attached; + 1 for each reader; + VMA_WRITER_BAR while a writer drains
 * readers.
 */
#ifndef MM_VMA_H
#define MM_VMA_H

#include "mm/reasons.h"
#include "mm/vma/interval_tree.h"
#include "mm/vma/mm.h"

struct file;
struct vma;
struct vma_ops;

/* Linux's values, as far as there is one. */
#define VM_READ 0x1UL
#define VM_WRITE 0x2UL
#define VM_EXEC 0x4UL
#define VM_SHARED 0x8UL
#define VM_MAYREAD 0x10UL
#define VM_MAYWRITE 0x20UL
#define VM_MAYEXEC 0x40UL
#define VM_MAYSHARE 0x80UL
#define VM_GROWSDOWN 0x100UL
#define VM_UFFD_MISSING 0x200UL
#define VM_LOCKED 0x2000UL
#define VM_SEQ_READ 0x8000UL
#define VM_RAND_READ 0x10000UL
#define VM_DONTCOPY 0x20000UL
#define VM_DONTEXPAND 0x40000UL
#define VM_LOCKONFAULT 0x80000UL
#define VM_ACCOUNT 0x100000UL
#define VM_NORESERVE 0x200000UL
#define VM_WIPEONFORK 0x2000000UL
#define VM_DONTDUMP 0x4000000UL
#define VM_HUGEPAGE 0x20000000UL
#define VM_NOHUGEPAGE 0x40000000UL
#define VM_MERGEABLE 0x80000000UL
#define VM_PKEY_SHIFT 32 /* the protection key, 4 bits */
#define VM_PKEY (0xfUL << VM_PKEY_SHIFT)
#define VM_DROPPABLE 0x4000000000UL
#define VM_STACK VM_GROWSDOWN
#define VM_LOCK_FLAGS (VM_LOCKED | VM_LOCKONFAULT)
#define VM_ACCESS (VM_READ | VM_WRITE | VM_EXEC)

#define STACK_GUARD_GAP (256UL << PAGE_SHIFT) /* kept free below a growing stack, as on Linux */
#define DEFAULT_MAX_MAP_COUNT 65530

#define VMA_WRITER_BAR (1 << 30)

struct vma {
	/* Read by every fault; written in the bracket, each by WRITE_ONCE. */
	vaddr_t start, end;	   /* [start, end), page aligned */
	u64 flags;		   /* VM_* */
	u64 page_prot;		   /* hardware bits of a private entry, see vma_page_prot() */
	u64 pgoff;		   /* of start, in pages: in the mapping, or in the anonymous address space (rmap) */
	struct mm *mm;		   /* constant while attached */
	struct mapping *mapping;   /* NULL: anonymous. One reference */
	const struct vma_ops *ops; /* NULL: anonymous */

	/* Read by faults, written rarely. */
	u64 vm_lock_seq __cacheline_aligned; /* == mm->mm_lock_seq: being changed. Written by vma_start_write() */
	struct anon_vma *anon_vma;	     /* NULL → value once, store_release; else changed in the bracket */
	struct file *file;		     /* shown in /proc maps; one reference. Anonymous: NULL, or /dev/zero */
	struct list_head anon_vma_chain;     /* mmap_lock, or anon_vma preparation: the anon_vmas this VMA is on */
	struct interval_node i_mmap;	     /* mapping's i_mmap_lock: the VMA's node in the mapping's tree */
	union {
		struct rcu_head rcu;   /* vma_free(): waits for a grace period */
		struct list_head gone; /* munmap: removed from the tree, not yet freed */
	};

	/* The one word that readers of the per-VMA lock write, on a line of its own. */
	s32 vm_refcnt __cacheline_aligned; /* atomic */
};

/* The operations of a mapped object that faults call. */
struct fault;
struct vma_ops {
	/*
	 * Finds or creates the page of f->address, up to date, and stores it in f->page with a reference for the
	 * caller. Does not touch the VMA. NULL: the object provides no pages, SIGBUS.
	 *
	 * Context: the fault's lock held. Sleeps only as f->strategy waits, which may drop the lock.
	 * Returns: END_CONTINUE, or how the attempt ends.
	 */
	enum fault_end (*fault)(struct fault *f);
	/*
	 * Maps those of the object's pages [first, last] that are cached. The range contains f->address's page and lies
	 * within one page table. Skips pages that it would have to wait for. NULL: pages are mapped only by fault().
	 *
	 * Context: the fault's lock held. Does not sleep.
	 * Returns: END_CONTINUE if it did not map f->address's page, else how the attempt ends.
	 */
	enum fault_end (*map_pages)(struct fault *f, u64 first, u64 last);
	bool without_mmap_lock; /* fault() may run under the per-VMA lock */
	bool speculative;	/* map_pages() touches only memory that an unmap frees after a grace period */
	const char *name;	/* shown in /proc maps when there is no file, or NULL */
};

/* ---- Flags. Context: any. ---------------------------------------------------------------------------------------- */
/*
 * Hardware bits for VM_* flags: PROT_NONE → PTE_PROTNONE. A private entry starts read-only; the fault kinds add
 * PTE_WRITE.
 *
 * Returns: PTE_* bits, without the frame.
 */
u64 vma_page_prot(u64 vm_flags);

static inline bool vma_is_anonymous(const struct vma *vma)
{
	return !READ_ONCE(vma->ops);
}
static inline bool vma_is_private_writable(u64 flags)
{
	return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

static inline unsigned vma_flags_key(u64 flags)
{
	return (flags & VM_PKEY) >> VM_PKEY_SHIFT;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */
/* Creates the cache. Context: boot. */
void vma_init_caches(void);
/*
 * Allocates a VMA: detached, refcnt 0, everything zero.
 *
 * Context: thread. Sleeps only for memory.
 * Returns: the VMA; NULL without memory.
 */
struct vma *vma_alloc(struct mm *mm);
/*
 * Makes a detached copy, with references on file and mapping, and no anon_vma yet.
 *
 * Context: thread. Sleeps only for memory.
 * Returns: the copy; NULL without memory.
 */
struct vma *vma_dup(const struct vma *vma);
/*
 * Drops the VMA's references and frees it after a grace period. It is detached, or was never attached.
 *
 * Context: thread. Does not sleep.
 */
void vma_free(struct vma *vma);

/*
 * Makes a new VMA reachable; call vma_tree_reserve() before. Write-locks the VMA first (V2): until mmap_lock is
 * released no other strategy uses it.
 *
 * Context: mmap_lock held for writing. Sleeps.
 */
void vma_attach(struct mm *mm, struct vma *vma);
/*
 * Removes the VMA from the tree, in its bracket; look-ups that have found it already see vm_refcnt 0.
 *
 * Context: mmap_lock held for writing; the VMA write-locked. Does not sleep.
 */
void vma_detach(struct vma *vma);

/* ---- The bracket ------------------------------------------------------------------------------------------------- */
/*
 * Bar new readers, wait for the current ones to unlock, and mark the VMA as being changed until mmap_lock is released.
 * Idempotent inside one bracket. The killable form removes the bar when it is interrupted (V14).
 *
 * Context: mmap_lock held for writing. Sleep.
 * Returns: the killable form: 0; -EINTR if the thread is killed first.
 */
void vma_start_write(struct vma *vma);
int __must_check vma_start_write_killable(struct vma *vma);
/* Is the VMA in the bracket? Context: mmap_lock held for writing. Does not sleep. */
static inline bool vma_is_write_locked(const struct vma *vma)
{
	assert_mmap_write_locked(vma->mm);
	return READ_ONCE(vma->vm_lock_seq) == READ_ONCE(vma->mm->mm_lock_seq);
}
/*
 * For asserts in debug builds.
 *
 * Context: any.
 * Returns: true if the current thread holds the VMA that contains addr read-locked; also where held locks are not
 *          recorded.
 */
bool mm_is_read_locked_at(const struct mm *mm, vaddr_t addr);
/* The page tables that serve addr are not freed; or they stay readable at least. */
#define assert_tables_stay(mm, addr)                                                                                   \
	ASSERT(lock_is_held(&(mm)->mmap_lock) || mm_is_read_locked_at((mm), (addr)), "mmap_lock or the VMA is held")
#define assert_tables_readable(mm, addr)                                                                               \
	ASSERT(lock_is_held(&(mm)->mmap_lock) || rcu_read_lock_held() || mm_is_read_locked_at((mm), (addr)),           \
	       "mmap_lock or the VMA is held, or we are inside an RCU section")
#define assert_vma_write_locked(vma) ASSERT(vma_is_write_locked(vma), "the VMA is changed inside its bracket")

/* ---- Reading ----------------------------------------------------------------------------------------------------- */
enum vma_read {
	VMA_READ_LOCKED,
	VMA_READ_WRITE_LOCKED, /* being changed, or falsely reported so: fall back */
	VMA_READ_DETACHED,     /* detached since the look-up */
};
/*
 * Locks the VMA for reading, without waiting. After VMA_READ_LOCKED the RCU section may end. Mirrors: Linux 6.4,
 * vma_start_read().
 *
 * Context: an RCU section.
 * Returns: VMA_READ_LOCKED, or why it is not locked.
 */
enum vma_read vma_start_read(struct mm *mm, struct vma *vma);
/* Unlocks it. The VMA may be freed right afterwards. Context: thread, the one that locked it. Does not sleep. */
void vma_end_read(struct vma *vma);

#endif
