/* SPDX-License-Identifier: MIT */
/* Files on a simulated disk: see sim_file.h. The operations obey the contract of struct mapping_ops. */
#include "sim_file.h"
#include "test.h"

#include "kernel/sync/lockdep.h"
#include "mm/page/page_lock.h"

#include <stdlib.h>

static u64 *word_of(struct page *page)
{
	return page_to_virt(page);
}

static void hold(struct sim_file *file, struct page *page)
{
	spin_lock(&file->lock);
	file->held[file->nr_held++] = page;
	spin_unlock(&file->lock);
}

static void end_read(struct sim_file *file, struct page *page, int error)
{
	if (!error)
		WRITE_ONCE(*word_of(page), READ_ONCE(file->disk[page->index]));
	page_end_read(page, error);
}

static void end_write(struct page *page, int error)
{
	page_end_writeback(page, error);
}

static int read_page(struct mapping *mapping, struct page *page)
{
	struct sim_file *file = mapping->host;

	CHECK(page_test(page, PG_LOCKED) && page_test(page, PG_CACHE) && !page_is_uptodate(page));
	atomic_inc(&file->nr_reads);
	if (READ_ONCE(file->reads) == SIM_IO_HELD)
		hold(file, page);
	else
		end_read(file, page, READ_ONCE(file->error));
	return 0;
}

/* The disk copies the contents at once; the write may complete later. */
static int write_page(struct mapping *mapping, struct page *page)
{
	struct sim_file *file = mapping->host;

	CHECK(page_test(page, PG_LOCKED) && page_test(page, PG_WRITEBACK) && !page_test(page, PG_DIRTY));
	atomic_inc(&file->nr_writes);
	if (READ_ONCE(file->error))
		return READ_ONCE(file->error);
	WRITE_ONCE(file->disk[page->index], READ_ONCE(*word_of(page)));
	if (READ_ONCE(file->writes) == SIM_IO_HELD)
		hold(file, page);
	else
		end_write(page, 0);
	return 0;
}

static int page_mkwrite(struct mapping *mapping, struct page *page)
{
	struct sim_file *file = mapping->host;

	CHECK(page_test(page, PG_LOCKED) && page_is_uptodate(page));
	atomic_inc(&file->nr_mkwrites);
	return READ_ONCE(file->error) ? READ_ONCE(file->error) : READ_ONCE(file->throttles) ? MKWRITE_THROTTLE : 0;
}

static void throttle(struct mapping *mapping)
{
	struct sim_file *file = mapping->host;

	atomic_inc(&file->nr_throttled);
	assert_no_locks_held("a fault was throttled");
	(void)mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT);
}

static const struct mapping_ops ops = {
	.read_page = read_page,
	.write_page = write_page,
	.page_mkwrite = page_mkwrite,
	.throttle = throttle,
};

struct sim_file *sim_file_create(u64 pages)
{
	struct sim_file *file = calloc(1, sizeof(*file));

	CHECK(file && pages <= SIM_FILE_PAGES);
	spin_init(&file->lock, RANK_LEAF);
	for (unsigned i = 0; i < SIM_FILE_PAGES; i++)
		file->disk[i] = i + 1000;
	file->mapping = mapping_create(PAGES(pages), false);
	file->mapping->ops = &ops;
	file->mapping->host = file;
	return file;
}

void sim_file_destroy(struct sim_file *file)
{
	CHECK_EQ(mapping_truncate(file->mapping, 0), 0);
	CHECK_EQ(file->mapping->nr_dirty, 0);
	mapping_put(file->mapping);
	free(file);
}

vaddr_t sim_file_map(struct mm *mm, struct sim_file *file, u64 pages, u64 flags)
{
	struct mmap_request request = {
		.len = PAGES(pages),
		.prot = RW,
		.flags = flags,
		.mapping = file->mapping,
		.ops = &mapping_vma_ops,
		.file_writable = true,
	};
	long addr = mm_mmap(mm, &request);

	CHECK(addr > 0);
	return (vaddr_t)addr;
}

static unsigned nr_held(struct sim_file *file)
{
	unsigned nr;

	spin_lock(&file->lock);
	nr = file->nr_held;
	spin_unlock(&file->lock);
	return nr;
}

void sim_file_wait_held(struct sim_file *file, unsigned nr)
{
	while (nr_held(file) < nr)
		let_others_run_once();
}

static struct page *next_held(struct sim_file *file)
{
	struct page *page;

	spin_lock(&file->lock);
	page = file->nr_held ? file->held[--file->nr_held] : NULL;
	spin_unlock(&file->lock);
	return page;
}

void sim_file_end_io(struct sim_file *file, int error)
{
	struct page *page;

	while ((page = next_held(file)) != NULL) {
		if (page_test(page, PG_WRITEBACK))
			end_write(page, error);
		else
			end_read(file, page, error);
	}
}
