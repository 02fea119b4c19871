/* SPDX-License-Identifier: MIT */
/*
 * Allocates, attaches, detaches and frees VMAs. A VMA is freed after a grace period, because lockless look-ups may
 * still hold its address. The per-VMA lock is in vma_lock.c; changes to attached VMAs are in vma_change.c.
 */
#include "mm/cache/mapping.h"
#include "mm/page/slab.h"
#include "mm/services.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma_change.h"

static struct slab_cache *vma_cache;

void vma_init_caches(void)
{
	vma_cache = slab_create("vma", sizeof(struct vma), CACHE_LINE);
}

u64 vma_page_prot(u64 flags)
{
	u64 prot = PTE_USER | (u64)vma_flags_key(flags) << PTE_KEY_SHIFT;

	if (!(flags & VM_EXEC))
		prot |= PTE_NX;
	if (!(flags & VM_ACCESS))
		return prot | PTE_PROTNONE;
	if ((flags & VM_SHARED) && (flags & VM_WRITE))
		prot |= PTE_WRITE;
	return prot | PTE_PRESENT;
}

struct vma *vma_alloc(struct mm *mm)
{
	struct vma *vma = slab_alloc(vma_cache, ALLOC_ZERO | ALLOC_WAIT);

	if (!vma)
		return NULL;
	vma->mm = mm;
	list_init(&vma->anon_vma_chain);
	return vma;
}

void vma_set_object(struct vma *vma, struct mapping *mapping, struct file *file, const struct vma_ops *ops)
{
	vma->mapping = mapping;
	vma->file = file;
	vma->ops = ops;
	if (mapping)
		mapping_get(mapping);
	if (file)
		vma_file_get(file);
}

struct vma *vma_dup(const struct vma *vma)
{
	struct vma *copy = vma_alloc(vma->mm);

	if (!copy)
		return NULL;
	copy->start = vma->start;
	copy->end = vma->end;
	copy->flags = vma->flags;
	copy->page_prot = vma->page_prot;
	copy->pgoff = vma->pgoff;
	vma_set_object(copy, vma->mapping, vma->file, vma->ops);
	return copy;
}

/* A fault without locks may be asking the mapping for a page until the grace period ends (S11). */
static void free_with_object(struct rcu_head *head)
{
	struct vma *vma = container_of(head, struct vma, rcu);

	if (vma->mapping)
		mapping_put(vma->mapping);
	if (vma->file)
		vma_file_put(vma->file);
	slab_free(vma_cache, vma);
}

void vma_free(struct vma *vma)
{
	ASSERT(!READ_ONCE(vma->vm_refcnt), "a VMA that is freed is detached");
	anon_vma_unlink(vma);
	if (vma->mapping || vma->file)
		call_rcu(&vma->rcu, free_with_object);
	else
		slab_free_rcu(vma_cache, vma, &vma->rcu);
}

/* ---- Attach and detach ------------------------------------------------------------------------------------------- */

void vma_link(struct vma *vma)
{
	vma_start_write(vma); /* before a look-up can find it (V2) */
	WRITE_ONCE(vma->vm_refcnt, 1);
	vma->mm->nr_vmas++;
	if (vma->mapping)
		i_mmap_insert(vma);
}

void vma_unlink(struct vma *vma)
{
	assert_vma_write_locked(vma);
	/* A reader may be counted in until it sees that the VMA is write-locked, and leaves. */
	while (!atomic_cas(&vma->vm_refcnt, 1, 0))
		cpu_relax();
	vma->mm->nr_vmas--;
	if (vma->mapping)
		i_mmap_remove(vma);
}

void vma_attach(struct mm *mm, struct vma *vma)
{
	assert_mmap_write_locked(mm);
	vma_link(vma);
	vma_account(mm, vma->flags, vma_pages(vma));
	vma_tree_insert(&mm->tree, vma, vma->start, vma->end);
}

void vma_detach(struct vma *vma)
{
	vma_tree_remove(&vma->mm->tree, vma, vma->start);
	vma_account(vma->mm, vma->flags, -vma_pages(vma));
	vma_unlink(vma);
}

/* /proc reads these without a lock. */
static void vma_add_pages(u64 *counter, long nr_pages)
{
	WRITE_ONCE(*counter, *counter + nr_pages);
}

/* Linux's classes: data is private and writable, code executable and not writable; neither counts stacks. */
void vma_account(struct mm *mm, u64 flags, long nr_pages)
{
	vma_add_pages(&mm->total_pages, nr_pages);
	if (mm->total_pages > mm->hiwater_vm)
		WRITE_ONCE(mm->hiwater_vm, mm->total_pages);
	if (flags & VM_STACK)
		vma_add_pages(&mm->stack_pages, nr_pages);
	else if ((flags & (VM_WRITE | VM_SHARED)) == VM_WRITE)
		vma_add_pages(&mm->data_pages, nr_pages);
	else if ((flags & (VM_EXEC | VM_WRITE)) == VM_EXEC)
		vma_add_pages(&mm->exec_pages, nr_pages);
	if (flags & VM_SHARED)
		vma_add_pages(&mm->shared_pages, nr_pages);
	if (flags & VM_LOCKED)
		vma_add_pages(&mm->locked_pages, nr_pages);
}
