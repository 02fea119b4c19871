/* SPDX-License-Identifier: MIT */
/* The interface between exec.c and elf.c: the argument strings of a new program, and the properties of its ELF file. */
#ifndef KERNEL_EXEC_H
#define KERNEL_EXEC_H

#include "kernel/lib/base.h"

struct file;
struct mm;

#define MAX_ARG_STRLEN (32 * PAGE_SIZE)

/* NUL-terminated strings, one after the other, in pages of their own. */
struct strings {
	char **pages;
	size_t nr_pages; /* allocated */
	size_t max_pages;
	size_t used; /* bytes */
	u32 count;   /* strings */
};

/* What exec collects before it touches the old program. */
struct exec {
	const char *filename;  /* as the caller named it */
	struct file *file;     /* the ELF file, opened for execution, which denies writes to it. One reference */
	struct file *mapped;   /* the same file, opened for reading: for the VMAs, which may outlive the program */
	struct strings prefix; /* "#!": interpreter, its argument, the script */
	struct strings args;   /* argv; without argv[0] for a script */
	struct strings env;
	struct mm *mm;	/* the new address space; the current one while exec fills it */
	u8 header[256]; /* the file's first bytes, zero beyond its end */
};

/* The loader's results; addresses include the load bias. */
struct elf_image {
	vaddr_t entry, phdr;
	u64 phnum;
	bool executable_stack;
};

/*
 * Maps the program into exec->mm, which is the current address space and empty, and sets its layout fields. Returns: 0,
 * -ENOEXEC if the file is not a valid static x86-64 ELF file, -ENOMEM, ...; after a failure the caller must discard the
 * address space. Sleeps.
 */
int elf_load(struct exec *exec, struct elf_image *image);
/*
 * Builds the stack: strings, auxiliary vector, pointers. Sets *sp to the initial stack pointer. Returns: 0, -ENOMEM,
 * -EFAULT or -E2BIG.
 */
int elf_build_stack(struct exec *exec, const struct elf_image *image, vaddr_t *sp);

/* Appends a string. Returns: 0, -E2BIG or -ENOMEM. */
int strings_add(struct strings *strings, const char *text, size_t len);
void strings_free(struct strings *strings);
/*
 * Executes the program that the initramfs names, in the current process. The task has files and fs. Returns: 0 or
 * -errno. Sleeps.
 */
int exec_first(void);

/* Copies all bytes to user memory. Returns: 0 or -EFAULT. */
int strings_to_user(const struct strings *strings, vaddr_t addr);

#endif
