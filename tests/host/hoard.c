/* SPDX-License-Identifier: MIT */
/* Takes free memory away from the kernel, and gives it back: see hoard.h. */
#include "hoard.h"

#include "mm/page/page_alloc.h"

void hoard_take(struct hoard *hoard, u64 left)
{
	struct page *page;

	while ((!left || nr_free_pages() > left) && (page = alloc_pages(hoard->order, 0)) != NULL) {
		void **block = page_to_virt(page);

		*block = hoard->first;
		hoard->first = block;
	}
}

void hoard_give(struct hoard *hoard, u64 nr)
{
	while (nr-- && hoard->first) {
		struct page *page = virt_to_page(hoard->first);

		hoard->first = *hoard->first;
		free_pages(page, hoard->order);
	}
}

void hoard_give_all(struct hoard *hoard)
{
	hoard_give(hoard, ~0UL);
}
