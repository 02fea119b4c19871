/* SPDX-License-Identifier: MIT */
/*
 * Faults on private memory never touched before: a read maps the shared zero page, a write maps a new page.
 *
 * The page is prepared before the entry is locked, and freed if another fault has filled the entry first.
 * Mirrors: Linux, do_anonymous_page(); under speculation, seed 003's version of it.
 */
#include "mm/debug/race.h"
#include "mm/fault/core.h"

enum fault_end fault_anon(struct fault *f)
{
	struct page *page;
	enum fault_end end;

	if (f->access != ACCESS_WRITE)
		return fault_map_zero_page(f);
	end = f->strategy->need_anon_vma(f);
	if (end)
		return end;
	page = fault_page_get(f, true);
	if (!page)
		return f->strategy->no_memory(f);
	race_point(anon_page_ready);
	return fault_map_own_page(f, page);
}
