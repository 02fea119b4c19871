/* SPDX-License-Identifier: MIT */
/*
 * The system calls about memory. They check the arguments that concern files and user pointers, and call mm/. They take
 * no locks.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/memfd.h"
#include "kernel/fs/super.h"
#include "kernel/lib/errno.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"
#include "mm/calls/mmap.h"
#include "mm/fault.h"
#include "mm/vma/mman.h"

/* ---- mmap -------------------------------------------------------------------------------------------------------- */

/* Neither pipes and similar files nor files on a noexec mount may be mapped executable. */
static bool is_noexec(const struct file *file)
{
	const struct super_block *sb = file->inode ? file->inode->sb : &anon_super;

	return sb == &anon_super || READ_ONCE(sb->flags) & MS_NOEXEC;
}

static int check_file_rights(const struct file *file, u64 prot, bool shared, bool sealed)
{
	if (!(file->mode & FMODE_READ) || (shared && (prot & PROT_WRITE) && !(file->mode & FMODE_WRITE)))
		return -EACCES;
	if ((prot & PROT_WRITE) && sealed)
		return -EPERM;
	if (prot & PROT_EXEC && is_noexec(file))
		return -EPERM;
	return file->mapping || file->ops->maps_as_anonymous ? 0 : -ENODEV;
}

/* Maps memory without a mapping of its own: private to the process, or shared with its children. */
static void map_as_anonymous(struct mmap_request *request, struct file *file)
{
	u64 type = request->flags & MAP_TYPE;

	if (type == MAP_PRIVATE)
		request->file = file; /* only for its name */
	else if (type == MAP_SHARED_VALIDATE)
		request->flags = (request->flags & ~(u64)MAP_TYPE) | MAP_SHARED;
	request->file_writable = true;
}

static long mmap_file(struct mmap_request *request, struct file *file)
{
	bool shared = (request->flags & MAP_TYPE) != MAP_PRIVATE, may_write = shared && (file->mode & FMODE_WRITE);
	bool sealed = may_write && !memfd_mapping_begins(file);
	long result;

	request->of_file = true;
	request->unbounded = !S_ISREG(file->inode->mode) && !S_ISBLK(file->inode->mode);
	request->refusal = check_file_rights(file, request->prot, shared, sealed);
	if (file->ops->maps_as_anonymous) {
		map_as_anonymous(request, file);
	} else {
		request->file = file;
		request->mapping = file->mapping;
		request->ops = &mapping_vma_ops;
		request->noexec = is_noexec(file);
		request->file_writable = may_write && !sealed;
	}
	result = mm_mmap(current->mm, request);
	if (may_write && !sealed)
		memfd_mapping_ends(file);
	return result;
}

SYSCALL(mmap)
{
	struct mmap_request request = { .addr = a0, .len = a1, .prot = a2, .flags = a3, .pgoff = a5 >> PAGE_SHIFT };
	struct file *file;
	long result;

	if (a5 & ~PAGE_MASK)
		return -EINVAL;
	if (request.flags & MAP_ANONYMOUS)
		return mm_mmap(current->mm, &request);
	file = fget((int)a4);
	if (!file)
		return -EBADF;
	result = mmap_file(&request, file);
	file_put(file);
	return result;
}

SYSCALL(munmap)
{
	return mm_munmap(current->mm, a0, a1);
}

SYSCALL(mprotect)
{
	return mm_mprotect(current->mm, a0, a1, a2, -1);
}

SYSCALL(mremap)
{
	return mm_mremap(current->mm, a0, a1, a2, a3, a4);
}

SYSCALL(brk)
{
	return mm_brk(current->mm, a0);
}

SYSCALL(madvise)
{
	return mm_madvise(current->mm, a0, a1, (int)a2);
}

SYSCALL(mlock)
{
	return mm_mlock(current->mm, a0, a1, false);
}

SYSCALL(mlock2)
{
	if ((u32)a2 & ~MLOCK_ONFAULT)
		return -EINVAL;
	return mm_mlock(current->mm, a0, a1, a2 & MLOCK_ONFAULT);
}

SYSCALL(munlock)
{
	return mm_munlock(current->mm, a0, a1);
}

SYSCALL(mlockall)
{
	return mm_mlockall(current->mm, (int)a0);
}

SYSCALL(munlockall)
{
	return mm_munlockall(current->mm);
}

SYSCALL(msync)
{
	return mm_msync(current->mm, a0, a1, (int)a2);
}

/* Works in pieces, so that it touches no user memory under mmap_lock. */
SYSCALL(mincore)
{
	u64 nr_pages = align_up(a1, PAGE_SIZE) >> PAGE_SHIFT;
	u8 vec[256];

	if (a0 & ~PAGE_MASK)
		return -EINVAL;
	if (!access_ok(a0, a1))
		return -ENOMEM;
	if (!access_ok(a2, nr_pages))
		return -EFAULT;
	for (u64 done = 0, nr; done < nr_pages; done += nr) {
		long error;

		nr = min(nr_pages - done, (u64)sizeof(vec));
		error = mm_mincore(current->mm, a0 + done * PAGE_SIZE, nr, vec);
		if (error)
			return error;
		if (copy_to_user(a2 + done, vec, nr))
			return -EFAULT;
	}
	return 0;
}
