/* SPDX-License-Identifier: MIT */
/*
 * Races of reclaim with the pages of mappings: shared memory, and a file's. Reclaim stops where it has cleared the
 * entries and not flushed yet. CPU 1 interferes, CPU 2 reclaims, CPU 3 (the puppet) still has a translation.
 */
#include "race_stage.h"

#include "disk.h"
#include "sim_file.h"

#include "mm/cache/mapping.h"
#include "mm/reclaim/reclaim.h"
#include "mm/vma/vma.h"

enum kind { SHARED_MEMORY, FILE_PAGE, NR_KINDS };

static struct disk *disk;
static struct sim_file *file;
static struct mapping *mapping;
static vaddr_t page_addr; /* maps one page, the first one */

/* Reclaims the page that the entry maps. Reclaim runs in no address space. */
static void act_reclaim_page(void *arg)
{
	struct page *page = pte_counted_page(sim_pte(mm, page_addr));

	(void)arg;
	CHECK(page);
	page_get(page);
	reclaim_batch(&page, 1);
}

/* The page holds `value`, and the puppet has a translation of it, when reclaim stops. */
static void begin_reclaim(enum kind kind, u64 flags, u64 value)
{
	disk = disk_create(64);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	file = sim_file_create(SIM_FILE_PAGES);
	file->disk[0] = value;
	page_addr = kind == FILE_PAGE ? sim_file_map(mm, file, 1, flags) : map(mm, 1, RW, flags | MAP_ANONYMOUS);
	mapping = sim_vma(mm, page_addr)->mapping;
	faulter.addr = page_addr;
	puppet_start();
	if (kind == SHARED_MEMORY)
		CHECK_EQ(puppet_do(true, true, page_addr, value), FAULT_DONE);
	CHECK_EQ(puppet_do(false, true, page_addr, 0), FAULT_DONE);
	stop_at(RACE_reclaim_before_flush, 2);
	sim_start(2, act_reclaim_page, NULL);
	wait_stopped(RACE_reclaim_before_flush);
	CHECK(!sim_pte(mm, page_addr).val);
	CHECK(puppet_do(false, false, page_addr, 0)); /* the puppet still sees the page */
	CHECK_EQ(puppet.value, value);
}

static void end_reclaim(void)
{
	puppet_stop();
	unmap(mm, page_addr, 1);
	sim_file_destroy(file);
	swap_cache_trim();
	disk_swapoff(disk);
}

static bool is_in_mapping(void)
{
	struct page *page = mapping_find(mapping, 0);

	if (page)
		page_put(page);
	return page;
}

static void expect_puppet_reads(u64 value)
{
	CHECK_EQ(puppet_do(false, true, page_addr, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, value);
}

/*
 * The page leaves its mapping, and may be freed, only when no translation is left. A write through one before that is
 * not lost.
 */
TEST(w4_mapping_page_stays_until_it_is_flushed, 4)
{
	for (enum kind kind = 0; kind < NR_KINDS; kind++) {
		begin(POLICY_FULL, SPF_VALIDATE_VMA);
		begin_reclaim(kind, MAP_SHARED, 200);
		CHECK(is_in_mapping());
		if (kind == SHARED_MEMORY)
			CHECK(puppet_do(true, false, page_addr, 300));
		go_on(RACE_reclaim_before_flush, 2);
		CHECK(!is_in_mapping());
		CHECK(!puppet_do(false, false, page_addr, 0));
		expect_puppet_reads(kind == SHARED_MEMORY ? 300 : 200);
		end_reclaim();
		end();
	}
}

/* A page that a fault maps again before the flush stays. */
TEST(mapping_page_mapped_again_before_the_flush_stays, 4)
{
	FOR_EACH_STRATEGY (setup)
		for (enum kind kind = 0; kind < NR_KINDS; kind++) {
			begin_reclaim(kind, MAP_SHARED, 200);
			fault_now(act_read);
			CHECK_EQ(faulter.value, 200);
			go_on(RACE_reclaim_before_flush, 2);
			CHECK(is_in_mapping());
			CHECK(pte_present(sim_pte(mm, page_addr)));
			expect_puppet_reads(200);
			end_reclaim();
		}
}

/* The entry is empty, so a private write fills it with a copy. From then on no thread sees the old page. */
TEST(k5_copy_is_seen_although_reclaim_has_not_flushed, 4)
{
	FOR_EACH_STRATEGY (setup) {
		begin_reclaim(FILE_PAGE, MAP_PRIVATE, 200);
		faulter.value = 7;
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		expect_puppet_reads(7);
		go_on(RACE_reclaim_before_flush, 2);
		expect_puppet_reads(7);
		end_reclaim();
	}
}

static void act_punch(void *arg)
{
	(void)arg;
	mapping_remove_range(mapping, 0, 0);
}

/*
 * A page that reclaim has unmapped has no mapping left; yet a call that punches a hole there must not return while a
 * CPU can still access the page.
 */
TEST(w6_hole_waits_until_reclaim_has_flushed, 4)
{
	for (enum kind kind = 0; kind < NR_KINDS; kind++) {
		begin(POLICY_FULL, SPF_VALIDATE_VMA);
		begin_reclaim(kind, MAP_SHARED, 200);
		sim_start(1, act_punch, NULL);
		wait_asleep(1);
		go_on(RACE_reclaim_before_flush, 1);
		CHECK(!puppet_do(false, false, page_addr, 0));
		sim_join(2);
		expect_puppet_reads(kind == SHARED_MEMORY ? 0 : 200); /* a file's page is read from the disk again */
		end_reclaim();
		end();
	}
}
