/* SPDX-License-Identifier: MIT */
/*
 * Tests of mmap of files and of special kinds of memory: which errors it returns, in which order, and what later calls
 * on the VMA may do.
 */
#include "test.h"

#include "mm/cache/mapping.h"
#include "mm/services.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma.h"

#define ARENA 0x10000000000UL
#define MAX_FILE_BYTES 0x7fffffffffffffffUL
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

static struct mm *mm;
static struct mapping *mapping;

static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	mapping = mapping_create(PAGES(8), false);
}

static void end(void)
{
	test_mm_put(mm);
	mapping_put(mapping);
}

/* A request for one page of a file that was opened for reading and writing. */
static struct mmap_request request_of(u64 prot, u64 flags)
{
	return (struct mmap_request){
		.addr = ARENA,
		.len = PAGES(1),
		.prot = prot,
		.flags = flags | MAP_FIXED,
		.mapping = mapping,
		.ops = &mapping_vma_ops,
		.file_writable = true,
	};
}

static long mmap_of(struct mmap_request request)
{
	return mm_mmap(mm, &request);
}

static long mmap_from(u64 pgoff, bool unbounded)
{
	struct mmap_request request = request_of(RW, MAP_SHARED);

	request.pgoff = pgoff;
	request.unbounded = unbounded;
	return mm_mmap(mm, &request);
}

static u64 flags_of_vma(void)
{
	return sim_vma(mm, ARENA)->flags;
}

static long mmap_anon(u64 len, u64 flags)
{
	const struct mmap_request request = { .addr = ARENA, .len = len, .prot = RW, .flags = flags | MAP_FIXED };

	return mm_mmap(mm, &request);
}

TEST(mmap_of_a_file_answers, 1)
{
	begin();
	CHECK_EQ(mmap_of(request_of(RW, MAP_SHARED | MAP_HUGETLB)), -EINVAL);
	CHECK_EQ(mmap_of(request_of(RW, 0)), -EINVAL);
	CHECK_EQ(mmap_of(request_of(RW, MAP_SHARED_VALIDATE | MAP_SYNC)), -EOPNOTSUPP);
	CHECK_EQ(mmap_of(request_of(RW, MAP_SHARED | MAP_GROWSDOWN)), -EINVAL);
	CHECK_EQ(mmap_of(request_of(RW, MAP_PRIVATE | MAP_GROWSDOWN)), -EINVAL);
	CHECK_EQ(mm->nr_vmas, 0);
	CHECK_EQ(mmap_of(request_of(RW, MAP_SHARED_VALIDATE | MAP_NORESERVE)), ARENA);
	CHECK_EQ(flags_of_vma() & (VM_SHARED | VM_MAYSHARE | VM_NORESERVE), VM_SHARED | VM_MAYSHARE | VM_NORESERVE);
	CHECK_EQ(mmap_of(request_of(RW, MAP_SHARED | MAP_SYNC)), ARENA); /* MAP_SHARED ignores MAP_SYNC */
	CHECK_EQ(mmap_of(request_of(RW, MAP_PRIVATE | MAP_STACK)), ARENA);
	CHECK_EQ(flags_of_vma() & (VM_SHARED | VM_MAYSHARE | VM_NOHUGEPAGE), VM_NOHUGEPAGE);
	end();
}

TEST(mmap_bounds_the_offset, 1)
{
	const u64 last = (MAX_FILE_BYTES - PAGE_SIZE) >> PAGE_SHIFT, beyond = (~0UL - PAGE_SIZE) >> PAGE_SHIFT;

	begin();
	CHECK_EQ(mmap_from(~0UL, true), -EOVERFLOW);
	CHECK_EQ(mmap_from(last + 1, false), -EOVERFLOW);
	CHECK_EQ(mmap_from(last, false), ARENA);
	CHECK_EQ(mmap_from(last + 1, true), ARENA);
	CHECK_EQ(mmap_from(beyond + 1, true), -EOVERFLOW);
	CHECK_EQ(mmap_from(beyond, true), ARENA);
	end();
}

/*
 * A shared mapping of a file that is not open for writing cannot be made writable by mprotect either; a private one
 * can.
 */
TEST(mmap_of_a_file_that_is_only_read, 1)
{
	struct mmap_request request;

	begin();
	request = request_of(RW, MAP_SHARED);
	request.file_writable = false;
	CHECK_EQ(mmap_of(request), -EACCES);
	request.prot = PROT_READ;
	CHECK_EQ(mmap_of(request), ARENA);
	CHECK_EQ(flags_of_vma() & (VM_SHARED | VM_MAYSHARE | VM_MAYWRITE), VM_MAYSHARE);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), RW, -1), -EACCES);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_READ | PROT_EXEC, -1), 0);
	request.flags = MAP_PRIVATE | MAP_FIXED;
	request.prot = RW;
	request.noexec = true;
	CHECK_EQ(mmap_of(request), ARENA);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_READ, -1), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), RW, -1), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_READ | PROT_EXEC, -1), -EACCES);
	end();
}

/* The error for the file itself comes after those for the address and the type of mapping. */
TEST(mmap_refuses_for_the_file_last, 1)
{
	struct mmap_request request;

	begin();
	request = request_of(RW, MAP_SHARED);
	request.refusal = -EBADF;
	CHECK_EQ(mmap_of(request), -EBADF);
	request.file_writable = false;
	CHECK_EQ(mmap_of(request), -EBADF);
	request.flags = MAP_PRIVATE | MAP_GROWSDOWN | MAP_FIXED;
	CHECK_EQ(mmap_of(request), -EBADF);
	request.flags = MAP_FIXED;
	CHECK_EQ(mmap_of(request), -EINVAL);
	request.flags = MAP_SHARED | MAP_FIXED;
	request.addr++;
	CHECK_EQ(mmap_of(request), -EINVAL);
	CHECK_EQ(mm->nr_vmas, 0);
	end();
}

/* A mapping larger than all memory is refused, unless overcommit is allowed or the mapping is MAP_NORESERVE. */
TEST(mmap_of_more_than_there_is, 1)
{
	const u64 huge = 1UL << 40;

	begin();
	CHECK_EQ(mmap_anon(huge, ANON), -ENOMEM);
	CHECK_EQ(mmap_anon(huge, MAP_SHARED | MAP_ANONYMOUS), -ENOMEM);
	CHECK_EQ(mmap_anon(PAGES(4), ANON), ARENA);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), huge, 0, 0), -ENOMEM);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), huge, MREMAP_MAYMOVE, 0), -ENOMEM);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), PROT_READ, -1), 0);
	CHECK_EQ(mm->total_pages, 4);
	CHECK_EQ(mmap_anon(huge, ANON | MAP_NORESERVE), ARENA);
	CHECK_EQ(mmap_anon(huge, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE), ARENA);
	sysctl_overcommit_memory = 1;
	CHECK_EQ(mmap_anon(huge, ANON), ARENA);
	CHECK_EQ(mmap_anon(huge, MAP_SHARED | MAP_ANONYMOUS), ARENA);
	CHECK_EQ(mmap_anon(PAGES(4), ANON), ARENA);
	unmap(mm, ARENA + PAGES(4), (huge >> PAGE_SHIFT) - 4);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), huge, 0, 0), ARENA);
	end();
}

/* Droppable memory is never locked or dumped, and a child gets it empty; madvise cannot change that. */
TEST(mmap_droppable, 1)
{
	const u64 kind = VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;

	begin();
	CHECK_EQ(mmap_anon(PAGES(1), MAP_DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED), -EINVAL);
	CHECK_EQ(mmap_anon(PAGES(1), MAP_DROPPABLE | MAP_ANONYMOUS | MAP_GROWSDOWN), -EINVAL);
	CHECK_EQ(mmap_anon(PAGES(1), MAP_DROPPABLE | MAP_ANONYMOUS), ARENA);
	CHECK_EQ(flags_of_vma() & kind, kind);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(1), MADV_KEEPONFORK), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(1), MADV_DODUMP), -EINVAL);
	CHECK_EQ(flags_of_vma() & kind, kind);
	end();
}

/*
 * The stack of a new program is executable if its headers ask for that; it can grow, and can be made executable later.
 */
TEST(stack_of_a_new_program, 1)
{
	const u64 always = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_GROWSDOWN | VM_ACCOUNT;

	for (unsigned executable = 0; executable < 2; executable++) {
		begin();
		CHECK_EQ(mm_setup_stack(mm, ARENA + PAGES(4), PAGES(4), executable), 0);
		CHECK_EQ(flags_of_vma(), always | (executable ? VM_EXEC : 0));
		CHECK_EQ(mm->stack_pages, 4);
		CHECK_EQ(mm->data_pages, 0);
		CHECK_EQ(sim_vma(mm, ARENA)->pgoff, ARENA >> PAGE_SHIFT);
		CHECK_EQ(mm_setup_stack(mm, ARENA + (1UL << 30), PAGES(1), false), 0);
		end();
	}
}

/* Each address space that runs a program holds a reference to the program's file. */
TEST(exe_file_is_held_by_each_process, 1)
{
	static char file;
	struct mm *child;

	begin();
	mm->exe_file = (struct file *)&file;
	vma_file_get(mm->exe_file);
	child = test_mm(POLICY_MMAP);
	CHECK_EQ(mm_fork(child, mm), 0);
	CHECK(child->exe_file == mm->exe_file);
	CHECK_EQ(sim_file_refs(), 2);
	test_mm_put(child);
	CHECK_EQ(sim_file_refs(), 1);
	end();
	CHECK_EQ(sim_file_refs(), 0);
}
