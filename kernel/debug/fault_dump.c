/* SPDX-License-Identifier: MIT */
/* The dump of fault events, threads and an address space to a debug console port. See fault_dump.h. */
#include "kernel/debug/fault_dump.h"

#include "drivers/debugcon.h"
#include "kernel/boot_words.h"
#include "kernel/debug/fault_trace.h"
#include "kernel/fs/file.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/time/clock.h"
#include "mm/page/page.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"
#include "mm/vma/vma.h"

static bool wanted;
static u32 dumped;				   /* atomic: set by the thread that dumps the address space */
static spinlock_t line_lock = SPINLOCK_INIT(LEAF); /* threads exit in parallel, and lines must not mix */

void fault_dump_init(void)
{
	wanted = boot_option("fault_dump", NULL, 0);
}

static void vput_line(const char *fmt, va_list args)
{
	char line[EVENT_TEXT_MAX + 1];
	size_t len = min((size_t)kvsnprintf(line, sizeof(line) - 1, fmt, args), sizeof(line) - 2);

	line[len] = '\n';
	debugcon_write_lines(DEBUGCON_TRACE, line, len + 1);
}

static void __printf(1, 2) put_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	spin_lock(&line_lock);
	vput_line(fmt, args);
	spin_unlock(&line_lock);
	va_end(args);
}

/* For the end, when no other CPU writes. */
static void __printf(1, 2) put_line_alone(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vput_line(fmt, args);
	va_end(args);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

void fault_dump_events(void)
{
	struct fault_event event;
	char line[EVENT_TEXT_MAX];

	if (wanted)
		put_line_alone("clock %lu %lu", (unsigned long)tsc_hz, (unsigned long)tsc_base);
	for (unsigned cpu = 0; wanted && cpu < nr_cpus(); cpu++) {
		struct event_cursor cursor;

		event_cursor_set(&cursor, cpu, 0);
		put_line_alone("recorded %u %u", cpu, events_recorded(cpu));
		while (event_read(&cursor, &event)) {
			event_format(line, sizeof(line), cpu, &event);
			put_line_alone("%s", line);
		}
	}
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

void fault_dump_thread(const struct task *task)
{
	char name[TASK_COMM_LEN];

	assert_no_lock_from(RANK_LEAF);
	if (!wanted)
		return;
	memcpy(name, task->comm, sizeof(name));
	for (char *c = name; *c; c++)
		if ((u8)*c < ' ')
			*c = '?';
	put_line("thread %d %d %s", task->tid, task->process->pid, name);
}

/* ---- The address space ------------------------------------------------------------------------------------------- */

/* A run of neighbouring pages of one state becomes one line. */
struct run {
	vaddr_t start;
	u64 nr;
	const char *state;
};

static void end_run(struct run *run)
{
	if (run->nr)
		put_line("pages %lx %lu %s", (unsigned long)run->start, (unsigned long)run->nr, run->state);
	run->nr = 0;
}

static void add_page(struct run *run, vaddr_t addr, const char *state)
{
	if (run->nr && run->state == state && run->start + run->nr * PAGE_SIZE == addr) {
		run->nr++;
		return;
	}
	end_run(run);
	*run = (struct run){ .start = addr, .nr = 1, .state = state };
}

/* "cow": the page is shared with other address spaces, and a write copies it. => a PTE lock held. */
static const char *state_of(const struct vma *vma, pte_t pte)
{
	const struct page *page = pte_counted_page(pte);

	assert_in_atomic();
	if (pte_kind(pte) == PTE_KIND_SWAP)
		return "swap";
	if (!pte_maps_page(pte))
		return "other";
	if (!page)
		return "zero";
	if (page_test(page, PG_ANON))
		return READ_ONCE(page->mapcount) > 1 ? "cow" : "anon";
	return vma->flags & VM_SHARED ? "shared" : "file";
}

static void dump_put_table(struct run *run, const struct vma *vma, const struct pt_walk *walk, vaddr_t addr,
			   vaddr_t end)
{
	spinlock_t *lock = pte_lockptr(walk->pmd);

	spin_lock(lock);
	for (; addr < end; addr += PAGE_SIZE) {
		pte_t pte = pte_read(pte_offset(walk->pmd, addr));

		if (!pte_none(pte))
			add_page(run, addr, state_of(vma, pte));
	}
	spin_unlock(lock);
}

static void put_pages(const struct vma *vma)
{
	struct run run = { .nr = 0 };

	for (vaddr_t addr = vma->start, next; addr < vma->end; addr = next) {
		struct pt_walk walk = pt_walk(vma->mm, addr);
		u64 span = 1UL << (PAGE_SHIFT + 9 * (walk.level - 1));

		next = min(align_down(addr, span) + span, vma->end);
		if (walk.state == PT_TABLE)
			dump_put_table(&run, vma, &walk, addr, next);
	}
	end_run(&run);
}

static const char *name_of(const struct vma *vma, char *path)
{
	const struct mm *mm = vma->mm;
	const char *name = NULL;

	if (vma->file)
		name = file_path(vma->file, path, PATH_MAX);
	else if (vma->start < mm->brk && vma->end > mm->start_brk)
		name = "[heap]";
	else if (vma->flags & VM_GROWSDOWN)
		name = "[stack]";
	return name ? name : "";
}

static void put_address_space(struct mm *mm, char *path)
{
	const struct vma *vma;

	mmap_read_lock(mm);
	vma_tree_for_each (vma, &mm->tree) {
		put_line("vma %lx %lx %c%c%c%c %s", (unsigned long)vma->start, (unsigned long)vma->end,
			 vma->flags & VM_READ ? 'r' : '-', vma->flags & VM_WRITE ? 'w' : '-',
			 vma->flags & VM_EXEC ? 'x' : '-', vma->flags & VM_MAYSHARE ? 's' : 'p', name_of(vma, path));
		put_pages(vma);
	}
	mmap_read_unlock(mm);
}

void fault_dump_address_space(void)
{
	const struct process *process = current->process;
	char *path;

	assert_no_lock_held();
	if (!wanted || process != init_process ||
	    !(READ_ONCE(process->group_exit) || READ_ONCE(process->nr_threads) == 1) || !atomic_cas(&dumped, 0u, 1u))
		return;
	path = kmalloc(PATH_MAX, 0);
	if (path)
		put_address_space(current->mm, path);
	kfree(path);
}
