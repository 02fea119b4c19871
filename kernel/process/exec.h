/* SPDX-License-Identifier: MIT */
/* What exec.c and elf.c share: the strings of a new program, and what an ELF file asks for. */
#ifndef KERNEL_EXEC_H
#define KERNEL_EXEC_H

#include "kernel/lib/base.h"

struct file;
struct mm;

#define MAX_ARG_STRLEN (32 * PAGE_SIZE)

/* NUL-terminated strings one after the other, in pages of their own. */
struct strings {
	char **pages;
	size_t nr_pages; /* allocated */
	size_t max_pages;
	size_t used; /* bytes */
	u32 count;   /* strings */
};

/* What is collected before the old program is touched. */
struct exec {
	const char *filename; /* as the caller named it */
	struct file *file;    /* the ELF file, opened to be run: nobody may write to it. One reference */
	struct file
		*mapped; /* the same, opened to be read: what VMAs hold, who may outlive the program's end a little */
	struct strings prefix; /* "#!": interpreter, its argument, the script */
	struct strings args;   /* argv; without argv[0] for a script */
	struct strings env;
	struct mm *mm;	/* the new address space: the current one while it is filled */
	u8 header[256]; /* the file's first bytes, zero beyond its end */
};

/* What the loader found out; addresses include the load bias. */
struct elf_image {
	vaddr_t entry, phdr;
	u64 phnum;
	bool executable_stack;
};

/*
 * Maps the program into exec->mm, which is the current address space and empty, and sets its layout fields. -ENOEXEC for
 * what is no proper static x86-64 ELF file, or -ENOMEM, ...; then the address space is to be thrown away. Sleeps.
 */
int elf_load(struct exec *exec, struct elf_image *image);
/* Builds the stack: strings, auxiliary vector, pointers. *sp: where the program starts. 0, -ENOMEM, -EFAULT, -E2BIG. */
int elf_build_stack(struct exec *exec, const struct elf_image *image, vaddr_t *sp);

/* 0, -E2BIG or -ENOMEM. */
int strings_add(struct strings *strings, const char *text, size_t len);
void strings_free(struct strings *strings);
/* The program that the initramfs names becomes the current one: 0 or -errno. Needs files and fs. Sleeps. */
int exec_first(void);

/* Copies all bytes to user memory: 0 or -EFAULT. */
int strings_to_user(const struct strings *strings, vaddr_t addr);

#endif
