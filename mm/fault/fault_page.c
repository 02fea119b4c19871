/* SPDX-License-Identifier: MIT */
/*
 * The two functions between the fault core and the allocator: charges, memory policy and "don't sleep" belong here and
 * nowhere else.
 */
#include "mm/fault/fault.h"

struct page *fault_page_get(struct fault *f, bool zero)
{
	(void)f; /* a charge will need to know on whose behalf the page is allocated */
	assert_may_reclaim();
	return alloc_page(ALLOC_USER | (zero ? ALLOC_ZERO : 0));
}

void fault_page_put(struct fault *f, struct page *page)
{
	(void)f;
	page_put(page);
}
