/* SPDX-License-Identifier: MIT */
/*
 * The pair between the fault core and the allocator: charges, memory policy and "don't sleep" belong here and nowhere
 * else.
 */
#include "mm/fault/fault.h"

struct page *fault_page_get(struct fault *f, bool zero)
{
	(void)f; /* on whose behalf: what a charge will need */
	assert_may_reclaim();
	return alloc_page(ALLOC_USER | (zero ? ALLOC_ZERO : 0));
}

void fault_page_put(struct fault *f, struct page *page)
{
	(void)f;
	page_put(page);
}
