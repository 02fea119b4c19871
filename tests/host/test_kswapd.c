/* SPDX-License-Identifier: MIT */
/* Tests of kswapd and of the watermarks of free memory. */
#include "test.h"

#include "disk.h"
#include "hoard.h"

#include "mm/page/page_alloc.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/kswapd.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"

#define LEFT 2048UL /* pages of memory that are left to a test */
#define WORK 4096UL /* pages that it touches */

static struct hoard blocks = { .order = MAX_ORDER };
static struct mm *mm;
static vaddr_t addr;

static struct thread *thread;
static bool stopping;

static bool should_stop(void)
{
	return load_acquire(&stopping);
}

static void run(void *unused)
{
	(void)unused;
	store_release(&thread, current_thread());
	kswapd_run(should_stop);
}

static void start(void)
{
	store_release(&stopping, false);
	store_release(&thread, NULL);
	sim_start(1, run, NULL);
	let_others_run_until(load_acquire(&thread), "kswapd does not start");
}

static void stop(void)
{
	store_release(&stopping, true);
	thread_wake(load_acquire(&thread));
	sim_join(1);
}

static void begin(void)
{
	hoard_take(&blocks, LEFT + (1UL << MAX_ORDER));
	mm = test_mm(POLICY_DEFAULT);
	addr = map(mm, WORK, RW, ANON);
	sim_use_mm(mm);
	counters_mark();
}

static void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
	hoard_give_all(&blocks);
}

/* The watermarks for 64 MiB, 1 GiB and 64 GiB are those of Linux, and min_free_kbytes stays within its bounds. */
TEST(watermarks_are_linux_s, 1)
{
	static const struct {
		u64 managed, kbytes;
		struct watermarks marks;
	} machines[] = {
		{ 16, 128, { 4, 5, 6 } }, /* at most a quarter of memory */
		{ 16384, 1024, { 256, 320, 384 } },
		{ 262144, 4096, { 1024, 1286, 1548 } },
		{ 16777216, 32768, { 8192, 24969, 41746 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		watermarks_init(machines[i].managed);
		CHECK_EQ(min_free_kbytes(), machines[i].kbytes);
		CHECK_EQ(watermarks.min, machines[i].marks.min);
		CHECK_EQ(watermarks.low, machines[i].marks.low);
		CHECK_EQ(watermarks.high, machines[i].marks.high);
	}
	watermarks_init(nr_managed_pages());
	watermark_scale_factor_set(1000);
	CHECK_EQ(watermark_scale_factor(), 1000);
	CHECK_EQ(watermarks.low - watermarks.min, nr_managed_pages() / 10);
	min_free_kbytes_set(0x7fffffff);
	CHECK_EQ(min_free_kbytes(), 0x7fffffff);
	CHECK_EQ(watermarks.min, nr_managed_pages() / 4);
}

/* User allocations leave the min watermark free; allocations that cannot wait leave half of it. */
TEST(watermarks_are_kept, 1)
{
	struct page *pages[600];
	unsigned nr = 0, user;

	begin();
	for (u64 page = 0; nr_pages_in_zone() > watermarks.min + 128; page++)
		put(addr + PAGES(page), page);
	while ((pages[nr] = alloc_page(ALLOC_USER)) != NULL)
		nr++;
	user = nr;
	CHECK_EQ(nr_pages_in_zone(), watermarks.min);
	while ((pages[nr] = alloc_page(0)) != NULL)
		nr++;
	CHECK_EQ(nr_pages_in_zone(), watermarks.min / 2);
	CHECK_EQ(nr - user, watermarks.min - watermarks.min / 2);
	while (nr)
		page_put(pages[--nr]);
	end();
}

/*
 * A program that touches more than memory holds finds free memory: kswapd frees some in advance, up to the high
 * watermark.
 */
TEST(kswapd_keeps_memory_free, 2)
{
	struct disk *disk = disk_create(8192);

	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	begin();
	start();
	put_pages(addr, WORK, 0);
	kswapd_look();
	let_others_run_until(nr_pages_in_zone() >= watermarks.low, "kswapd does not make room");
	stop();
	CHECK(COUNTED(pageoutrun) > 0);
	CHECK(COUNTED(pgsteal_kswapd) > 0);
	CHECK(COUNTED(pgscan_kswapd) >= COUNTED(pgsteal_kswapd));
	CHECK_EQ(COUNTED(pgsteal_kswapd) + COUNTED(pgsteal_direct), COUNTED(pgsteal_anon) + COUNTED(pgsteal_file));
	expect_pages(addr, WORK, 0);
	end();
	disk_swapoff(disk);
}

/* kswapd sleeps once the high watermark is reached, and is not woken again until free memory is below the low one. */
TEST(kswapd_rests_between_the_marks, 2)
{
	struct disk *disk = disk_create(8192);
	u64 page = 0, nr_runs;

	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	watermark_scale_factor_set(300);
	begin();
	start();
	while (nr_pages_in_zone() >= watermarks.low)
		put(addr + PAGES(page), page), page++;
	kswapd_look();
	let_others_run_until(COUNTED(pageoutrun), "kswapd is not woken");
	let_others_run_until(sim_is_sleeping(1), "kswapd does not rest");
	CHECK(nr_pages_in_zone() >= watermarks.high);
	nr_runs = COUNTED(pageoutrun);
	for (u64 more = page + 64; page < more; page++)
		put(addr + PAGES(page), page);
	kswapd_look();
	CHECK(nr_pages_in_zone() >= watermarks.low);
	CHECK(sim_is_sleeping(1));
	CHECK_EQ(COUNTED(pageoutrun), nr_runs);
	stop();
	while (page--)
		expect_get(addr + PAGES(page), page);
	end();
	disk_swapoff(disk);
}

static void act_look(void *unused)
{
	(void)unused;
	kswapd_look();
}

/*
 * A thread has found too little free memory and is about to wake kswapd when kswapd is told to stop: kswapd does not
 * exit before it has been woken.
 */
TEST(r5_kswapd_outlives_who_wakes_it, 3)
{
	begin();
	for (u64 page = 0; nr_pages_in_zone() >= watermarks.low; page++)
		put(addr + PAGES(page), page);
	start();
	stop_at(RACE_kswapd_before_wake, 2);
	sim_start(2, act_look, NULL);
	wait_stopped(RACE_kswapd_before_wake);
	store_release(&stopping, true);
	thread_wake(thread);
	let_others_run();
	CHECK(sim_running(1));
	let_go(RACE_kswapd_before_wake);
	sim_join(2);
	sim_join(1);
	end();
}

/* kswapd gives up when it can free nothing, and tries again after another thread has freed memory. */
TEST(kswapd_gives_up, 2)
{
	struct disk *disk = disk_create(8192);
	u64 page = 0;

	begin();
	start();
	while (nr_pages_in_zone() >= watermarks.low)
		put(addr + PAGES(page), page), page++;
	let_others_run_until(COUNTED(pageoutrun) >= 16, "kswapd does not try");
	for (u64 more = page + 32; page < more; page++)
		put(addr + PAGES(page), page);
	let_others_run();
	CHECK_EQ(COUNTED(pageoutrun), 16);
	CHECK_EQ(COUNTED(pgsteal_kswapd), 0);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	CHECK(reclaim_pages(1) > 0);
	CHECK_EQ(COUNTED(allocstall_normal), 1);
	for (u64 more = page + 64; page < more; page++)
		put(addr + PAGES(page), page);
	let_others_run_until(nr_pages_in_zone() >= watermarks.low, "kswapd does not try again");
	stop();
	CHECK(COUNTED(pgsteal_kswapd) > 0);
	while (page--)
		expect_get(addr + PAGES(page), page);
	end();
	disk_swapoff(disk);
}
