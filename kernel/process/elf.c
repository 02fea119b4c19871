/* SPDX-License-Identifier: MIT */
/*
 * The loader of static ELF programs: ET_EXEC, and ET_DYN without an interpreter (static PIE). It checks the headers of
 * the whole file before it maps anything: for a malformed file exec fails with ENOEXEC, and the old program continues.
 */
#include "kernel/fs/file.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/random.h"
#include "kernel/lib/string.h"
#include "kernel/process/exec.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"
#include "mm/calls/mmap.h"
#include "mm/fault.h"
#include "mm/page/slab.h"

#define STACK_TOP USER_END
#define ELF_ET_DYN_BASE 0x555555554000UL
#define STACK_EXTRA (128 * 1024UL)
#define STACK_GAP_MIN (128UL << 20)
#define MAX_PHDRS 64 /* as many as fit in one page, and more than any program has */

#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_PRIVATE 0x02
#define MAP_ANONYMOUS 0x20
#define MAP_FIXED_NOREPLACE 0x100000

#define ET_EXEC 2
#define ET_DYN 3
#define EM_X86_64 62
#define PT_LOAD 1
#define PT_INTERP 3
#define PT_GNU_STACK 0x6474e551
#define PF_X 1
#define PF_W 2
#define PF_R 4
#define ELIBBAD 80

struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_phdr {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

enum auxv_type {
	AT_NULL,
	AT_PHDR = 3,
	AT_PHENT,
	AT_PHNUM,
	AT_PAGESZ,
	AT_BASE,
	AT_FLAGS,
	AT_ENTRY,
	AT_UID = 11,
	AT_EUID,
	AT_GID,
	AT_EGID,
	AT_PLATFORM,
	AT_HWCAP,
	AT_CLKTCK,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_HWCAP2,
	AT_EXECFN = 31,
	AT_MINSIGSTKSZ = 51,
};

struct elf_file {
	struct elf_header header;
	struct elf_phdr phdr[MAX_PHDRS];
	vaddr_t low, high; /* of all segments, without bias */
	u64 align;	   /* the largest alignment of a segment */
	bool has_interpreter;
	bool executable_stack;
};

/* ---- Checking ---------------------------------------------------------------------------------------------------- */

static bool header_is_good(const struct elf_header *h)
{
	return memcmp(h->ident, "\177ELF\2\1", 6) == 0 && (h->type == ET_EXEC || h->type == ET_DYN) &&
	       h->machine == EM_X86_64 && h->phentsize == sizeof(struct elf_phdr) && h->phnum > 0 &&
	       h->phnum <= MAX_PHDRS;
}

static bool segment_is_good(const struct elf_phdr *p, u64 file_size)
{
	return p->filesz <= p->memsz && p->vaddr < USER_END && p->memsz <= USER_END - p->vaddr &&
	       p->offset <= file_size && p->filesz <= file_size - p->offset &&
	       (p->vaddr & (PAGE_SIZE - 1)) == (p->offset & (PAGE_SIZE - 1));
}

static int check_segment(struct elf_file *elf, const struct elf_phdr *p, u64 file_size)
{
	if (p->type == PT_INTERP)
		elf->has_interpreter = true;
	if (p->type == PT_GNU_STACK)
		elf->executable_stack = p->flags & PF_X;
	if (p->type != PT_LOAD || p->memsz == 0)
		return 0;
	if (!segment_is_good(p, file_size) || p->vaddr < elf->high) /* in ascending order, not overlapping */
		return -ENOEXEC;
	if (elf->high == 0)
		elf->low = align_down(p->vaddr, PAGE_SIZE);
	elf->high = p->vaddr + p->memsz;
	if (p->align > elf->align && (p->align & (p->align - 1)) == 0)
		elf->align = p->align;
	return 0;
}

static int read_file(struct exec *exec, struct elf_file *elf)
{
	u64 size;
	size_t len;
	long n;

	memcpy(&elf->header, exec->header, sizeof(elf->header));
	if (!header_is_good(&elf->header) || !exec->file->mapping)
		return -ENOEXEC;
	size = READ_ONCE(exec->file->mapping->size);
	len = elf->header.phnum * sizeof(struct elf_phdr);
	n = file_read_kernel(exec->file, elf->header.phoff, elf->phdr, len);
	if (n != (long)len)
		return n < 0 && n != -EINVAL ? (int)n : -ENOEXEC;
	elf->align = PAGE_SIZE;
	for (u32 i = 0; i < elf->header.phnum; i++) {
		int error = check_segment(elf, &elf->phdr[i], size);

		if (error)
			return error;
	}
	if (!elf->high)
		return -ENOEXEC;
	return elf->has_interpreter ? -ELIBBAD : 0;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

static u64 segment_prot(const struct elf_phdr *p)
{
	return (p->flags & PF_R ? PROT_READ : 0) | (p->flags & PF_W ? PROT_WRITE : 0) |
	       (p->flags & PF_X ? PROT_EXEC : 0);
}

static int map(struct exec *exec, struct mmap_request *request)
{
	long addr = mm_mmap(exec->mm, request);

	return addr < 0 ? (addr == -EEXIST || addr == -EINVAL || addr == -EPERM ? -ENOEXEC : (int)addr) : 0;
}

static int map_anonymous(struct exec *exec, vaddr_t start, vaddr_t end, u64 prot)
{
	struct mmap_request request = {
		.addr = start,
		.len = end - start,
		.prot = prot,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
	};

	return start < end ? map(exec, &request) : 0;
}

static int map_segment(struct exec *exec, const struct elf_phdr *p, vaddr_t bias)
{
	vaddr_t start = align_down(p->vaddr + bias, PAGE_SIZE);
	vaddr_t file_end = p->vaddr + bias + p->filesz;
	vaddr_t end = align_up(p->vaddr + bias + p->memsz, PAGE_SIZE);
	struct mmap_request request = {
		.addr = start,
		.len = align_up(file_end, PAGE_SIZE) - start,
		.prot = segment_prot(p),
		.flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE,
		.pgoff = p->offset >> PAGE_SHIFT,
		.mapping = exec->file->mapping,
		.file = exec->mapped,
		.ops = &mapping_vma_ops,
	};
	int error;

	if (p->filesz == 0)
		return map_anonymous(exec, start, end, request.prot);
	error = map(exec, &request);
	if (error)
		return error;
	/* The rest of the file's last page does not belong to the segment. */
	if (p->memsz > p->filesz && (p->flags & PF_W) && clear_user(file_end, align_up(file_end, PAGE_SIZE) - file_end))
		return -ENOEXEC;
	return map_anonymous(exec, align_up(file_end, PAGE_SIZE), end, request.prot);
}

static int map_segments(struct exec *exec, const struct elf_file *elf, vaddr_t bias)
{
	struct mm *mm = exec->mm;

	for (u32 i = 0; i < elf->header.phnum; i++) {
		const struct elf_phdr *p = &elf->phdr[i];
		vaddr_t start = p->vaddr + bias;
		int error;

		if (p->type != PT_LOAD || p->memsz == 0)
			continue;
		error = map_segment(exec, p, bias);
		if (error)
			return error;
		if (p->flags & PF_X) {
			mm->start_code = mm->start_code ? mm->start_code : start;
			mm->end_code = start + p->filesz;
		}
		mm->start_data = start;
		mm->end_data = start + p->filesz;
	}
	mm->start_brk = mm->brk = align_up(elf->high + bias, PAGE_SIZE);
	return 0;
}

static vaddr_t find_phdr(const struct elf_file *elf, vaddr_t bias)
{
	for (u32 i = 0; i < elf->header.phnum; i++) {
		const struct elf_phdr *p = &elf->phdr[i];
		u64 phoff = elf->header.phoff;

		if (p->type == PT_LOAD && p->offset <= phoff && phoff < p->offset + p->filesz)
			return phoff - p->offset + p->vaddr + bias;
	}
	return 0;
}

static void set_mmap_base(struct mm *mm)
{
	u64 gap = min(max(mm->rlimit_stack + STACK_GUARD_GAP, STACK_GAP_MIN), USER_END / 6 * 5);

	if (mm->rlimit_stack > USER_END)
		gap = USER_END / 6 * 5;
	mm->mmap_base = align_down(USER_END - gap, PAGE_SIZE);
}

static int elf_load_file(struct exec *exec, struct elf_file *elf, struct elf_image *image)
{
	vaddr_t bias = 0;
	int error = read_file(exec, elf);

	if (error)
		return error;
	if (elf->header.type == ET_DYN) {
		bias = align_up(ELF_ET_DYN_BASE, elf->align) - elf->low;
		if (elf->align > USER_END / 4 || elf->high > USER_END / 4)
			return -ENOEXEC;
	}
	image->entry = elf->header.entry + bias;
	if (image->entry >= USER_END)
		return -ENOEXEC;
	set_mmap_base(exec->mm);
	error = map_segments(exec, elf, bias);
	image->phdr = find_phdr(elf, bias);
	image->phnum = elf->header.phnum;
	image->executable_stack = elf->executable_stack;
	return error;
}

int elf_load(struct exec *exec, struct elf_image *image)
{
	struct elf_file *elf = kmalloc(sizeof(*elf), ALLOC_ZERO | ALLOC_WAIT);
	int error;

	assert_may_sleep();
	if (!elf)
		return -ENOMEM;
	error = elf_load_file(exec, elf, image);
	kfree(elf);
	return error;
}

/* ---- The stack --------------------------------------------------------------------------------------------------- */

struct stack_layout {
	vaddr_t prefix, args, env, execfn; /* where the strings lie, one after the other */
	vaddr_t platform, random;
	vaddr_t table; /* argc: the program's initial stack pointer */
};

static void add_aux(struct mm *mm, u32 *n, u64 type, u64 value)
{
	mm->auxv[(*n)++] = type;
	mm->auxv[(*n)++] = value;
}

static u32 fill_auxv(struct mm *mm, const struct elf_image *image, const struct stack_layout *layout)
{
	const struct users *users = &current->process->users;
	u32 n = 0;

	add_aux(mm, &n, AT_MINSIGSTKSZ, signal_frame_max());
	add_aux(mm, &n, AT_HWCAP, cpuid(1, 0).edx);
	add_aux(mm, &n, AT_PAGESZ, PAGE_SIZE);
	add_aux(mm, &n, AT_CLKTCK, 100);
	add_aux(mm, &n, AT_PHDR, image->phdr);
	add_aux(mm, &n, AT_PHENT, sizeof(struct elf_phdr));
	add_aux(mm, &n, AT_PHNUM, image->phnum);
	add_aux(mm, &n, AT_BASE, 0);
	add_aux(mm, &n, AT_FLAGS, 0);
	add_aux(mm, &n, AT_ENTRY, image->entry);
	add_aux(mm, &n, AT_UID, users->user.real);
	add_aux(mm, &n, AT_EUID, users->user.effective);
	add_aux(mm, &n, AT_GID, users->group.real);
	add_aux(mm, &n, AT_EGID, users->group.effective);
	add_aux(mm, &n, AT_SECURE, 0);
	add_aux(mm, &n, AT_RANDOM, layout->random);
	add_aux(mm, &n, AT_HWCAP2, 0);
	add_aux(mm, &n, AT_EXECFN, layout->execfn);
	add_aux(mm, &n, AT_PLATFORM, layout->platform);
	add_aux(mm, &n, AT_NULL, 0);
	return n;
}

/* From the top: 8 zero bytes, the strings, the platform's name, the random bytes, then the table. */
static void elf_lay_out(const struct exec *exec, struct stack_layout *layout, u32 nr_auxv)
{
	u64 nr_words = 1 + exec->prefix.count + exec->args.count + 1 + exec->env.count + 1 + nr_auxv;

	layout->execfn = STACK_TOP - 8 - (strlen(exec->filename) + 1);
	layout->env = layout->execfn - exec->env.used;
	layout->args = layout->env - exec->args.used;
	layout->prefix = layout->args - exec->prefix.used;
	layout->platform = align_down(layout->prefix, 16) - sizeof("x86_64");
	layout->random = layout->platform - 16;
	layout->table = align_down(layout->random - nr_words * 8, 16);
}

/* Writes a pointer to each string; the strings themselves start at `base`. */
static int put_pointers(const struct strings *strings, vaddr_t base, vaddr_t *slot)
{
	size_t start = 0;

	for (size_t i = 0; i < strings->used; i++) {
		if (strings->pages[i / PAGE_SIZE][i % PAGE_SIZE])
			continue;
		if (put_user(base + start, *slot))
			return -EFAULT;
		*slot += 8;
		start = i + 1;
	}
	return 0;
}

static int put_word(u64 word, vaddr_t *slot)
{
	int error = put_user(word, *slot);

	*slot += 8;
	return error;
}

static int elf_put_table(struct exec *exec, const struct stack_layout *layout, u32 nr_auxv)
{
	vaddr_t slot = layout->table;

	if (put_word(exec->prefix.count + exec->args.count, &slot) ||
	    put_pointers(&exec->prefix, layout->prefix, &slot) || put_pointers(&exec->args, layout->args, &slot) ||
	    put_word(0, &slot) || put_pointers(&exec->env, layout->env, &slot) || put_word(0, &slot))
		return -EFAULT;
	return copy_to_user(slot, exec->mm->auxv, nr_auxv * 8) ? -EFAULT : 0;
}

static int put_strings(struct exec *exec, const struct stack_layout *layout)
{
	u8 random[16];

	random_bytes(random, sizeof(random));
	if (strings_to_user(&exec->prefix, layout->prefix) || strings_to_user(&exec->args, layout->args) ||
	    strings_to_user(&exec->env, layout->env) ||
	    copy_to_user(layout->execfn, exec->filename, strlen(exec->filename) + 1) ||
	    copy_to_user(layout->platform, "x86_64", sizeof("x86_64")) ||
	    copy_to_user(layout->random, random, sizeof(random)))
		return -EFAULT;
	return 0;
}

int elf_build_stack(struct exec *exec, const struct elf_image *image, vaddr_t *sp)
{
	struct mm *mm = exec->mm;
	struct stack_layout layout = { 0 };
	u32 nr_auxv = fill_auxv(mm, image, &layout);
	u64 size;
	int error;

	elf_lay_out(exec, &layout, nr_auxv);
	fill_auxv(mm, image, &layout);
	size = align_up(STACK_TOP - layout.table, PAGE_SIZE);
	if (size > mm->rlimit_stack)
		return -E2BIG;
	size = max(size, min(size + STACK_EXTRA, mm->rlimit_stack & PAGE_MASK));
	error = (int)mm_setup_stack(mm, STACK_TOP, size, image->executable_stack);
	if (error)
		return error;
	mm->arg_start = layout.prefix;
	mm->arg_end = mm->env_start = layout.env;
	mm->env_end = layout.execfn;
	mm->start_stack = layout.table;
	*sp = layout.table;
	error = put_strings(exec, &layout);
	return error ? error : elf_put_table(exec, &layout, nr_auxv);
}
