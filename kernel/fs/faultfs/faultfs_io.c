/* SPDX-License-Identifier: MIT */
/*
 * I/O of the pages of files on a faultfs, and the two threads of a mounted one.
 *
 * Reading: a faulting thread, whatever locks it holds, only queues the locked page. The reader finds its block, which
 * may mean reading metadata, and submits the transfer. The completion, in a timer interrupt on an asynchronous device,
 * unlocks the page.
 *
 * Writing: the flusher makes passes: once a second (dirty_writeback_centisecs), when writers have made too many pages
 * dirty, and on request (sync, umount). A pass writes the dirty pages and the inodes of all files, waits for the pages,
 * frees evicted files, and then writes the metadata. A request is served by a pass that begins after it.
 *
 * Locks: fs->lock for where pages lie; fs->io_lock for the queues, which interrupts take too.
 */
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/sched/kthread.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "mm/page/page_lock.h"
#include "mm/page/slab.h"

u32 sysctl_dirty_writeback_centisecs = 100;

/* ---- Transfers --------------------------------------------------------------------------------------------------- */

static struct faultfs_io *take_first(struct faultfs *fs, struct list_head *list)
{
	unsigned long flags = spin_lock_irqsave(&fs->io_lock);
	struct faultfs_io *io = NULL;

	if (!list_empty(list)) {
		io = list_first(list, struct faultfs_io, link);
		list_del(&io->link);
	}
	spin_unlock_irqrestore(&fs->io_lock, flags);
	return io;
}

static void put_last(struct faultfs *fs, struct list_head *list, struct faultfs_io *io)
{
	unsigned long flags = spin_lock_irqsave(&fs->io_lock);

	list_add_tail(list, &io->link);
	spin_unlock_irqrestore(&fs->io_lock, flags);
}

static struct faultfs_io *io_get(struct faultfs_file *file, struct page *page)
{
	struct faultfs_io *io = take_first(file->fs, &file->fs->spare);

	if (!io)
		io = kmalloc(sizeof(*io), 0);
	if (!io)
		return NULL;
	*io = (struct faultfs_io){ .file = file, .page = page };
	list_init(&io->link);
	return io;
}

static void io_submit(struct faultfs_io *io, enum block_direction direction, s64 block,
		      void (*done)(struct block_request *request))
{
	io->request = (struct block_request){
		.device = io->file->fs->device,
		.sector = (u64)block * SECTORS_PER_PAGE,
		.page = io->page,
		.direction = direction,
		.done = done,
	};
	block_submit(&io->request);
}

/* Returns the block of a page, 0 for a hole, or -errno. */
static s64 block_of(struct faultfs_file *file, u64 index)
{
	s64 block;

	mutex_lock(&file->fs->lock);
	block = faultfs_lookup(file, index);
	mutex_unlock(&file->fs->lock);
	return block;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* Zeroes the part of a page that is beyond the end of the file: on the disk it may hold anything. */
static void clear_behind_end(const struct faultfs_file *file, struct page *page)
{
	u64 start = page->index << PAGE_SHIFT, size = READ_ONCE(file->mapping->size);

	if (size < start + PAGE_SIZE) {
		u64 used = size > start ? size - start : 0;

		memset((u8 *)page_to_virt(page) + used, 0, PAGE_SIZE - used);
	}
}

/* Unlocks the page last: after that the file may be freed, and then the file system. */
static void finish_read(struct faultfs_io *io, int error)
{
	struct page *page = io->page;

	if (!error)
		clear_behind_end(io->file, page);
	put_last(io->file->fs, &io->file->fs->spare, io);
	page_end_read(page, error);
}

static void faultfs_read_done(struct block_request *request)
{
	finish_read(container_of(request, struct faultfs_io, request), request->error);
}

static void send_read(struct faultfs_io *io)
{
	s64 block = block_of(io->file, io->page->index);

	if (block > 0 && !faultfs_is_unwritten(io->file->fs, (u32)block)) {
		io_submit(io, BLOCK_READ, block, faultfs_read_done);
		return;
	}
	if (block >= 0)
		clear_page(page_to_virt(io->page));
	finish_read(io, block < 0 ? (int)block : 0);
}

static int faultfs_read_page(struct mapping *mapping, struct page *page)
{
	struct faultfs_file *file = mapping->host;
	struct faultfs_io *io = io_get(file, page);

	if (!io)
		return -ENOMEM;
	current->io.read_bytes += PAGE_SIZE; /* counted for the thread that asks for the page, not for the reader */
	put_last(file->fs, &file->fs->reads, io);
	thread_wake((struct thread *)file->fs->reader);
	return 0;
}

static void reader(void *arg)
{
	struct faultfs *fs = arg;

	for (;;) {
		thread_prepare_sleep(SLEEP_UNINTERRUPTIBLE);
		struct faultfs_io *io = take_first(fs, &fs->reads);
		if (!io && !kthread_should_stop()) {
			thread_sleep();
			continue;
		}
		thread_cancel_sleep();
		if (!io)
			return;
		send_read(io);
		cond_resched();
	}
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static void faultfs_write_done(struct block_request *request)
{
	struct faultfs_io *io = container_of(request, struct faultfs_io, request);
	struct faultfs *fs = io->file->fs;
	struct page *page = io->page;
	int error = request->error;

	if (error)
		atomic_inc(&fs->nr_dirty);
	else
		faultfs_set_written(fs, (u32)(request->sector / SECTORS_PER_PAGE));
	put_last(fs, &fs->spare, io);
	page_end_writeback(page, error);
}

static int faultfs_write_page(struct mapping *mapping, struct page *page)
{
	struct faultfs_file *file = mapping->host;
	s64 block = block_of(file, page->index);
	struct faultfs_io *io;

	if (block < 0)
		return (int)block;
	(void)atomic_add_return(&file->fs->nr_dirty, -1UL);
	if (!block) {
		page_end_writeback(page, 0); /* a hole: only zeros, dirtied when a truncation zeroed its tail */
		return 0;
	}
	io = io_get(file, page);
	if (!io)
		return -ENOMEM;
	io_submit(io, BLOCK_WRITE, block, faultfs_write_done);
	return 0;
}

static bool too_many_dirty(const struct faultfs *fs)
{
	s64 nr = (s64)READ_ONCE(fs->nr_dirty); /* an estimate: may be wrong, even negative, for a moment */

	return nr > (s64)fs->dirty_limit;
}

/*
 * If the block was just allocated, the page is dirty from here on: the block must be written, even if the write to the
 * page fails.
 */
static int faultfs_page_mkwrite(struct mapping *mapping, struct page *page)
{
	struct faultfs_file *file = mapping->host;
	bool fresh;
	s64 block;

	if (READ_ONCE(file->inode->is_swap))
		return -ETXTBSY;
	mutex_lock(&file->fs->lock);
	block = faultfs_lookup_or_alloc(file, page->index, &fresh);
	if (fresh)
		faultfs_set_unwritten(file->fs, (u32)block);
	mutex_unlock(&file->fs->lock);
	if (block < 0)
		return (int)block;
	if (fresh && !page_is_uptodate(page)) {
		clear_page(page_to_virt(page));
		page_set(page, PG_UPTODATE);
	}
	if (!page_test(page, PG_DIRTY)) {
		atomic_inc(&file->fs->nr_dirty);
		current->io.write_bytes += PAGE_SIZE; /* as on Linux, counted for the thread that dirties the page */
		inode_touch_mtime(file->inode);
	}
	if (fresh)
		mapping_dirty_page(page);
	return too_many_dirty(file->fs) ? MKWRITE_THROTTLE : 0;
}

/* ---- Passes ------------------------------------------------------------------------------------------------------ */

static bool inode_get_unless_evicted(struct inode *inode)
{
	u32 refs = READ_ONCE(inode->refcount);

	while (refs && !atomic_cas(&inode->refcount, refs, refs + 1))
		refs = READ_ONCE(inode->refcount);
	return refs;
}

/*
 * Returns the file of that number, with a reference to its inode, or NULL. Called by the flusher, the only thread that
 * frees files.
 */
static struct faultfs_file *file_get_by_number(struct faultfs *fs, u32 ino)
{
	struct faultfs_file *file = READ_ONCE(fs->files[ino]);
	unsigned long flags;
	bool alive;

	if (!file)
		return NULL;
	flags = spin_lock_irqsave(&fs->io_lock);
	alive = file->inode && inode_get_unless_evicted(file->inode);
	spin_unlock_irqrestore(&fs->io_lock, flags);
	return alive ? file : NULL;
}

typedef void visit_file_t(struct faultfs_file *file, void *arg);

static void visit_files(struct faultfs *fs, visit_file_t *visit, void *arg)
{
	for (u32 ino = FAULTFS_ROOT_INO; ino <= fs->layout.nr_inodes; ino++) {
		struct faultfs_file *file = file_get_by_number(fs, ino);

		if (!file)
			continue;
		visit(file, arg);
		inode_put(file->inode);
		cond_resched();
	}
}

struct pass {
	u64 nr_dirty;
	int error;
};

static void note_error(struct pass *pass, int error)
{
	pass->error = pass->error ? pass->error : error;
}

static void start_writing(struct faultfs_file *file, void *arg)
{
	if (file->mapping && READ_ONCE(file->mapping->nr_dirty))
		note_error(arg, mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_START));
}

/* Waits for the pages of the file, and updates its record. Pages that could not be written are dirty again. */
static void faultfs_finish_writing(struct faultfs_file *file, void *arg)
{
	struct pass *pass = arg;
	u32 before = file->mapping ? READ_ONCE(file->mapping->nr_write_errors) : 0;

	if (file->mapping) {
		note_error(pass, mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_WAIT));
		note_error(pass, READ_ONCE(file->mapping->nr_write_errors) != before ? -EIO : 0);
		pass->nr_dirty += READ_ONCE(file->mapping->nr_dirty);
	}
	note_error(pass, faultfs_store_inode(file));
}

static struct faultfs_file *take_dead(struct faultfs *fs)
{
	unsigned long flags = spin_lock_irqsave(&fs->io_lock);
	struct faultfs_file *file = NULL;

	if (!list_empty(&fs->dead)) {
		file = list_first(&fs->dead, struct faultfs_file, dead);
		list_del(&file->dead);
	}
	spin_unlock_irqrestore(&fs->io_lock, flags);
	return file;
}

static void bury_dead(struct faultfs *fs)
{
	struct faultfs_file *file;

	while ((file = take_dead(fs)) != NULL)
		if (!faultfs_bury(file))
			list_add_tail(&fs->unburied, &file->dead);
}

/* Tries again, once in each pass, to free the files for which that failed because a block could not be read. */
static void bury_unburied(struct faultfs *fs)
{
	struct list_head last = LIST_HEAD_INIT(last);
	struct faultfs_file *file;

	list_add_tail(&fs->unburied, &last);
	while (fs->unburied.next != &last) {
		file = list_first(&fs->unburied, struct faultfs_file, dead);
		list_del(&file->dead);
		if (!faultfs_bury(file))
			list_add_tail(&fs->unburied, &file->dead);
	}
	list_del(&last);
}

/*
 * Gives up on files that could not be freed, because of blocks that cannot be read: what they have on the disk stays
 * allocated, without a name.
 */
static void abandon_unburied(struct faultfs *fs)
{
	while (!list_empty(&fs->unburied)) {
		struct faultfs_file *file = list_first(&fs->unburied, struct faultfs_file, dead);

		klog("%s: inode %u could not be freed", fs->device->name, file->ino);
		list_del(&file->dead);
		kfree(file);
	}
}

/* Makes a pass, which serves the requests up to `number`. */
static void run_pass(struct faultfs *fs, u64 number)
{
	struct pass pass = {};

	bury_unburied(fs);
	bury_dead(fs);
	visit_files(fs, start_writing, &pass);
	visit_files(fs, faultfs_finish_writing, &pass);
	bury_dead(fs);
	note_error(&pass, faultfs_write_metadata(fs));
	WRITE_ONCE(fs->nr_dirty, pass.nr_dirty);
	WRITE_ONCE(fs->error, pass.error);
	store_release(&fs->finished, number);
	wake_up_all(&fs->pass_end);
}

static void drop_pages_of(struct faultfs_file *file, void *arg)
{
	(void)arg;
	if (file->mapping)
		mapping_drop_clean(file->mapping);
}

/* Waits until the next pass is due, or requested. */
static void await_pass(void)
{
	u64 interval = READ_ONCE(sysctl_dirty_writeback_centisecs) * (NSEC_PER_SEC / 100);

	if (interval)
		(void)sleep_until(ktime_ns() + interval);
	else
		thread_sleep();
}

static void flusher(void *arg)
{
	struct faultfs *fs = arg;
	u64 dropped = 0;

	while (!kthread_should_stop()) {
		u64 number = load_acquire(&fs->wanted); /* later requests are served by the next pass */
		u64 drop = READ_ONCE(fs->wanted_drop);	/* after `number`: includes the drops that the pass serves */

		if (drop != dropped)
			visit_files(fs, drop_pages_of, NULL);
		dropped = drop;
		run_pass(fs, number);
		thread_prepare_sleep(SLEEP_UNINTERRUPTIBLE);
		if (READ_ONCE(fs->wanted) != fs->finished || !list_empty(&fs->dead) || kthread_should_stop())
			thread_cancel_sleep();
		else
			await_pass();
	}
	bury_dead(fs);
}

void faultfs_wake_flusher(struct faultfs *fs)
{
	if (fs->flusher)
		thread_wake((struct thread *)fs->flusher);
}

/*
 * Requests a pass that begins after this call, and with `drop` also a drop of clean pages. Returns the pass's number.
 */
static u64 want_pass(struct faultfs *fs, bool drop)
{
	unsigned long flags = spin_lock_irqsave(&fs->io_lock);
	u64 number = fs->wanted + 1;

	if (drop)
		WRITE_ONCE(fs->wanted_drop, fs->wanted_drop + 1);
	store_release(&fs->wanted, number);
	spin_unlock_irqrestore(&fs->io_lock, flags);
	faultfs_wake_flusher(fs);
	return number;
}

static void wait_for_pass(struct faultfs *fs, u64 number)
{
	wait_event(&fs->pass_end, load_acquire(&fs->finished) >= number);
}

int faultfs_sync(struct super_block *sb)
{
	struct faultfs *fs = faultfs_of(sb);

	wait_for_pass(fs, want_pass(fs, false));
	return READ_ONCE(fs->error);
}

void faultfs_drop_pages(struct super_block *sb)
{
	struct faultfs *fs = faultfs_of(sb);

	wait_for_pass(fs, want_pass(fs, true));
}

/* Waits for at most one whole pass: if nothing can be written, waiting longer would not help. */
static void faultfs_throttle(struct mapping *mapping)
{
	struct faultfs *fs = ((struct faultfs_file *)mapping->host)->fs;
	u64 number = want_pass(fs, false);

	(void)wait_event_killable(&fs->pass_end, load_acquire(&fs->finished) >= number || !too_many_dirty(fs));
}

const struct mapping_ops faultfs_mapping_ops = {
	.read_page = faultfs_read_page,
	.write_page = faultfs_write_page,
	.page_mkwrite = faultfs_page_mkwrite,
	.throttle = faultfs_throttle,
};

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

int faultfs_start_threads(struct faultfs *fs)
{
	char name[TASK_COMM_LEN];

	ksnprintf(name, sizeof(name), "%s-read", fs->device->name);
	fs->reader = kthread_start(name, reader, fs);
	ksnprintf(name, sizeof(name), "%s-flush", fs->device->name);
	fs->flusher = fs->reader ? kthread_start(name, flusher, fs) : NULL;
	return fs->flusher ? 0 : -ENOMEM;
}

void faultfs_stop_threads(struct faultfs *fs)
{
	struct faultfs_io *io;

	if (fs->flusher)
		kthread_stop(fs->flusher);
	if (fs->reader)
		kthread_stop(fs->reader);
	fs->flusher = fs->reader = NULL;
	bury_dead(fs); /* the files of a mount that failed */
	abandon_unburied(fs);
	while ((io = take_first(fs, &fs->spare)) != NULL)
		kfree(io);
}
