/* SPDX-License-Identifier: MIT */
/* Symbol look-up: finds the function that contains an address. The table is constant, so there is nothing to lock. */
#include "kernel/debug/symbols.h"

const char *symbol_lookup(u64 address, u64 *offset)
{
	u64 low = 0, high = kernel_symbols_nr;

	/* Invariant: entries before low start at or below the address, entries from high on start above it. */
	while (low < high) {
		u64 middle = low + (high - low) / 2;

		if (kernel_symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	*offset = address - kernel_symbols[low - 1].address;
	return kernel_symbols[low - 1].name;
}
