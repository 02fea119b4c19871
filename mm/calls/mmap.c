/* SPDX-License-Identifier: MIT */
/*
 * mmap and munmap, the setup of a new program's stack, and the teardown of an address space.
 *
 * Each call takes mmap_lock for writing, checks whether it is permitted, allocates the memory it needs, and only then
 * changes anything. It populates the range last, without the lock, through fault_in().
 *
 * Mirrors: Linux, do_mmap(), mmap_region(), do_vmi_munmap(), exit_mmap().
 */
#include "mm/calls/mmap.h"
#include "kernel/lib/errno.h"
#include "mm/cache/mapping.h"
#include "mm/fault.h"
#include "mm/table/tlb.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/pkey.h"
#include "mm/vma/vma_change.h"

/* Flags that MAP_SHARED_VALIDATE accepts (Linux's LEGACY_MAP_MASK); the other map types ignore unknown flags. */
#define LEGACY_FLAGS                                                                                                   \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_GROWSDOWN |       \
	 MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_32BIT |              \
	 MAP_ABOVE4G | MAP_HUGE_SIZES)

#define MAX_FILE_BYTES 0x7fffffffffffffffUL

static long check_object(const struct mmap_request *request, struct vma_shape *shape);
static long map_locked(struct mm *mm, const struct mmap_request *request, u64 len, struct vma_shape *shape);
static long mmap_place(struct mm *mm, struct vma_shape *shape, u64 nr_replaced);

static u64 flags_of_request(const struct mmap_request *request)
{
	u64 flags = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | (request->prot & VM_ACCESS);

	if (request->flags & MAP_GROWSDOWN)
		flags |= VM_GROWSDOWN;
	if (request->flags & MAP_LOCKED)
		flags |= VM_LOCKED;
	if (request->flags & MAP_STACK)
		flags |= VM_NOHUGEPAGE;
	if (request->flags & MAP_NORESERVE)
		flags |= VM_NORESERVE;
	if (request->noexec)
		flags &= ~VM_MAYEXEC;
	return flags;
}

static bool is_of_file(const struct mmap_request *request)
{
	return request->mapping || request->of_file;
}

static bool wants_population(const struct mmap_request *request)
{
	return (request->flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE;
}

long mm_mmap(struct mm *mm, const struct mmap_request *request)
{
	struct vma_shape shape = { .flags = flags_of_request(request),
				   .mapping = request->mapping,
				   .file = request->file,
				   .ops = request->ops,
				   .pgoff = request->pgoff };
	u64 len = align_up(request->len, PAGE_SIZE);
	bool own_mapping = !request->mapping && !request->refusal && (request->flags & MAP_TYPE) == MAP_SHARED;
	long addr;

	if (!request->len || (request->flags & MAP_HUGETLB && is_of_file(request)))
		return -EINVAL;
	if (!len || request->flags & MAP_HUGETLB) /* no huge pages are ever reserved */
		return -ENOMEM;
	if (request->pgoff + (len >> PAGE_SHIFT) < request->pgoff)
		return -EOVERFLOW;
	if (own_mapping) { /* before locking: clearing it may take long, or memory may be short */
		shape.mapping = mapping_create(len, true);
		shape.ops = &shared_anon_ops;
		if (!shape.mapping)
			return -ENOMEM;
	}
	if (mmap_write_lock_killable(mm)) {
		addr = -EINTR;
	} else {
		addr = map_locked(mm, request, len, &shape);
		mmap_write_unlock(mm);
	}
	if (own_mapping)
		mapping_put(shape.mapping);
	if (addr >= 0 && (wants_population(request) || (shape.flags & VM_LOCK_FLAGS) == VM_LOCKED))
		mm_populate_flags(mm, addr, addr + len, shape.flags);
	return addr;
}

/* Number of pages in the range that are already mapped, and will be replaced. */
static u64 pages_mapped(const struct mm *mm, vaddr_t start, vaddr_t end)
{
	u64 nr_pages = 0;
	struct vma *vma;

	vma_tree_for_each_range (vma, &mm->tree, start, end)
		nr_pages += (min(vma->end, end) - max(vma->start, start)) >> PAGE_SHIFT;
	return nr_pages;
}

static long check_lock(const struct mm *mm, const struct mmap_request *request, const struct vma_shape *shape)
{
	if (request->flags & MAP_LOCKED && !mm_may_lock_any(mm))
		return -EPERM;
	return mm_may_lock_more(mm, shape->flags, (shape->end - shape->start) >> PAGE_SHIFT) ? 0 : -EAGAIN;
}

/*
 * The order of the tests is Linux's, since it decides which errno a caller gets.
 *
 * Context: mmap_lock held for writing.
 */
static long map_locked(struct mm *mm, const struct mmap_request *request, u64 len, struct vma_shape *shape)
{
	u64 flags = request->flags;
	vaddr_t hint = request->addr;
	long addr, error;
	u64 nr_mapped;

	assert_mmap_write_locked(mm);
	if (mm->nr_vmas > READ_ONCE(sysctl_max_map_count))
		return -ENOMEM;
	if (flags & MAP_FIXED_NOREPLACE)
		flags |= MAP_FIXED;
	if (!(flags & MAP_FIXED)) {
		hint &= PAGE_MASK;
		if (hint)
			hint = max(hint, align_up(READ_ONCE(sysctl_mmap_min_addr), PAGE_SIZE));
	}
	addr = mm_unmapped_area(mm, hint, len, flags);
	if (addr < 0)
		return addr;
	shape->start = addr;
	shape->end = addr + len;
	nr_mapped = flags & MAP_FIXED ? pages_mapped(mm, shape->start, shape->end) : 0;
	if (flags & MAP_FIXED_NOREPLACE && nr_mapped)
		return -EEXIST;
	shape->flags |= mm_key_flags(mm, request->prot) | mm->def_flags;
	error = check_lock(mm, request, shape);
	if (!error)
		error = check_object(request, shape);
	return error ? error : mmap_place(mm, shape, nr_mapped);
}

static long check_file(const struct mmap_request *request, struct vma_shape *shape)
{
	u64 max_bytes = request->unbounded ? ~0UL : MAX_FILE_BYTES;

	if (request->pgoff > (max_bytes - (shape->end - shape->start)) >> PAGE_SHIFT)
		return -EOVERFLOW;
	switch (request->flags & MAP_TYPE) {
	case MAP_SHARED_VALIDATE:
		if (request->flags & ~(u64)LEGACY_FLAGS)
			return -EOPNOTSUPP;
		/* fall through */
	case MAP_SHARED:
		if (request->prot & PROT_WRITE && !request->file_writable && !request->refusal)
			return -EACCES;
		shape->flags |= VM_SHARED | VM_MAYSHARE;
		if (!request->file_writable)
			shape->flags &= ~(VM_MAYWRITE | VM_SHARED);
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (request->refusal)
		return request->refusal;
	return shape->flags & VM_GROWSDOWN ? -EINVAL : 0;
}

/* Determines the kind of memory, and completes flags and offset. Returns 0 or -errno. */
static long check_object(const struct mmap_request *request, struct vma_shape *shape)
{
	if (is_of_file(request)) {
		long error = check_file(request, shape);

		if (error || request->mapping)
			return error;
	}
	switch (request->flags & MAP_TYPE) {
	case MAP_SHARED:
		if (shape->flags & VM_GROWSDOWN)
			return -EINVAL;
		shape->flags |= VM_SHARED | VM_MAYSHARE;
		shape->pgoff = 0;
		if (!(shape->flags & VM_NORESERVE) && !mm_may_commit((shape->end - shape->start) >> PAGE_SHIFT))
			return -ENOMEM;
		return 0;
	case MAP_DROPPABLE:
		if (shape->flags & (VM_LOCKED | VM_GROWSDOWN))
			return -EINVAL;
		shape->flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
		/* fall through */
	case MAP_PRIVATE:
		if (!shape->file)
			shape->pgoff = shape->start >> PAGE_SHIFT;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Makes room for a mapping that replaces others: unmaps them only once nothing can fail any more. */
static long replace(struct mm *mm, struct vma_shape *shape)
{
	struct vma_unmap unmap;
	int error = vma_unmap_prepare(&unmap, mm, shape->start, shape->end, 1);

	if (!error)
		error = vma_map_prepare(mm, shape);
	if (error) {
		vma_unmap_cancel(&unmap);
		return error;
	}
	vma_unmap_commit(&unmap);
	return 0;
}

static long mmap_place(struct mm *mm, struct vma_shape *shape, u64 nr_replaced)
{
	u64 nr_pages = (shape->end - shape->start) >> PAGE_SHIFT;
	struct vma *vma;
	long error;

	if (!mm_may_grow(mm, shape->flags, nr_pages - nr_replaced))
		return -ENOMEM;
	if (vma_flags_accountable(shape->flags)) {
		if (!mm_may_commit(nr_pages))
			return -ENOMEM;
		shape->flags |= VM_ACCOUNT;
	}
	if (nr_replaced) {
		error = replace(mm, shape);
		if (error)
			return error;
	}
	vma = vma_map(mm, shape);
	return is_err(vma) ? ptr_err(vma) : (long)shape->start;
}

long mm_munmap(struct mm *mm, vaddr_t addr, u64 len)
{
	vaddr_t end;
	long error;

	if (addr & ~PAGE_MASK || addr > USER_END || len > USER_END - addr)
		return -EINVAL;
	end = addr + align_up(len, PAGE_SIZE);
	if (end == addr)
		return -EINVAL;
	error = mmap_write_lock_killable(mm);
	if (error)
		return error;
	error = vma_unmap_range(mm, addr, end);
	mmap_write_unlock(mm);
	return error;
}

long mm_setup_stack(struct mm *mm, vaddr_t top, u64 size, bool executable)
{
	struct vma_shape shape = { .start = top - size,
				   .end = top,
				   .pgoff = (top - size) >> PAGE_SHIFT,
				   .flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_GROWSDOWN |
					    VM_ACCOUNT | (executable ? VM_EXEC : 0) };
	struct vma *vma;

	mmap_write_lock(mm);
	vma = vma_map(mm, &shape);
	mmap_write_unlock(mm);
	return is_err(vma) ? ptr_err(vma) : 0;
}
