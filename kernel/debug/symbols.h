/* SPDX-License-Identifier: MIT */
/*
 * Names for code addresses, for backtraces. The build links the kernel twice: tools/symbol-table turns the functions of
 * the first link into a table that the second one contains.
 */
#ifndef KERNEL_SYMBOLS_H
#define KERNEL_SYMBOLS_H

#include "kernel/lib/base.h"

struct kernel_symbol {
	u64 address;
	const char *name;
};

extern const struct kernel_symbol kernel_symbols[]; /* sorted by address */
extern const u64 kernel_symbols_nr;

/*
 * Returns the function that contains this kernel code address, and the offset into it in bytes; NULL for an address
 * before the first function. Takes no locks; any context, panic included.
 */
const char *symbol_lookup(u64 address, u64 *offset);

#endif
