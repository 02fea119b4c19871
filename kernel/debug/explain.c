/* SPDX-License-Identifier: MIT */
/*
 * The explanation of a SIGSEGV or SIGBUS that ends a program, in one sentence. The VMAs are looked up under mmap_lock,
 * shortly after the fault; how the strategies ended is read from this CPU's fault events.
 */
#include "kernel/debug/explain.h"

#include "kernel/debug/fault_trace.h"
#include "kernel/fs/file.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"
#include "mm/vma/vma.h"

#define LINE_MAX (LOG_LINE_MAX - 1)
#define NAME_MAX_SHOWN 48
#define INT80 0x80cd	   /* the instruction, low byte first */
#define EVENTS_SEARCHED 16 /* attempts, and the waits between them */

bool explain_signals;

struct line {
	size_t length;
	char text[LINE_MAX];
};

static void __printf(2, 3) add(struct line *line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line->length += (size_t)kvsnprintf(line->text + line->length, sizeof(line->text) - line->length, fmt, args);
	va_end(args);
	line->length = min(line->length, sizeof(line->text) - 1);
}

/* Appends the name, shortened at the front: the end of a path says more than its beginning. */
static void add_name(struct line *line, const struct vma *vma)
{
	const struct mm *mm = vma->mm;
	const char *name = NULL;
	char *path = NULL;

	if (vma->file) {
		path = kmalloc(PATH_MAX, 0);
		name = path ? file_path(vma->file, path, PATH_MAX) : NULL;
		if (name && strlen(name) > NAME_MAX_SHOWN)
			name += strlen(name) - NAME_MAX_SHOWN;
	} else if (vma->start < mm->brk && vma->end > mm->start_brk) {
		name = "[heap]";
	} else if (vma->flags & VM_GROWSDOWN) {
		name = "[stack]";
	}
	if (name)
		add(line, " %s", name);
	kfree(path);
}

static void explain_add_vma(struct line *line, const struct vma *vma)
{
	add(line, "%lx-%lx %c%c%c%c", (unsigned long)vma->start, (unsigned long)vma->end,
	    vma->flags & VM_READ ? 'r' : '-', vma->flags & VM_WRITE ? 'w' : '-', vma->flags & VM_EXEC ? 'x' : '-',
	    vma->flags & VM_MAYSHARE ? 's' : 'p');
	add_name(line, vma);
}

/* Appends the reason why the stack did not grow down to the address (mm/vma/stack.c). */
static void add_stack_limit(struct line *line, const struct vma *stack, u64 addr)
{
	u64 limit = READ_ONCE(stack->mm->rlimit_stack);

	if (stack->end - (addr & PAGE_MASK) > limit)
		add(line, ", which must not grow beyond %lu KiB", (unsigned long)limit >> 10);
	else
		add(line, ", which cannot grow so far");
}

static void add_neighbours(struct line *line, const struct mm *mm, u64 addr)
{
	struct vma *below;
	const struct vma *above = vma_tree_neighbours(&mm->tree, addr, &below);

	if (above && above->start <= addr) {
		add(line, "in ");
		explain_add_vma(line, above);
		return;
	}
	add(line, "below it: ");
	if (below)
		explain_add_vma(line, below);
	else
		add(line, "nothing");
	add(line, "; above it: ");
	if (above)
		explain_add_vma(line, above);
	else
		add(line, "nothing");
	if (above && above->flags & VM_GROWSDOWN)
		add_stack_limit(line, above, addr);
}

static const char *why(enum fault_answer answer, u64 addr)
{
	static const char *const sentences[] = {
		[FAULT_NO_MAPPING] = "where nothing is mapped",
		[FAULT_NO_ACCESS] = "which the mapping does not permit",
		[FAULT_NO_KEY] = "which its protection key forbids this thread",
		[FAULT_NO_PROGRESS] = "which the mapping permits, but it faulted again each time",
		[FAULT_BEYOND_END] = "which lies beyond the end of the mapped file",
		[FAULT_IO_ERROR] = "which could not be read from, or written to, its device",
	};

	if (addr >= USER_END)
		return "which is outside user space";
	return answer < ARRAY_SIZE(sentences) && sentences[answer] ? sentences[answer] : "which cannot be accessed";
}

/*
 * Appends the attempts of this fault on this CPU, without those up to the last one that was resolved:
 * "; spec gave up: spf_abort_no_vma".
 */
static void add_attempts(struct line *line, u64 addr, enum fault_access access)
{
	size_t before = line->length;
	struct event_cursor cursor;
	struct fault_event event;
	char text[EVENT_TEXT_MAX];

	event_cursor_set(&cursor, cpu_id(), EVENTS_SEARCHED);
	while (event_read(&cursor, &event)) {
		if (event.type != EVENT_attempt || event.tid != machine_tid() || event.address != (addr & PAGE_MASK) ||
		    event.story.access != access)
			continue;
		event_verdict(text, sizeof(text), &event);
		add(line, "; %s", text);
		if ((event.story.end == END_ANSWERED || event.story.end == END_COMPLETED) &&
		    event.story.answer == FAULT_DONE)
			line->length = before;
	}
}

static bool is_caught(int signo)
{
	struct process *process = current->process;
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool caught = READ_ONCE(process->sighand->action[signo - 1].handler) > SIG_IGN &&
		      !(current->blocked & sigmask(signo));

	spin_unlock_irqrestore(&process->lock, flags);
	return caught;
}

/* Begins a line with the thread and its signal. Returns NULL if the signal is caught, or if out of memory. */
static struct line *begin_line(int signo)
{
	struct line *line = is_caught(signo) ? NULL : kmalloc(sizeof(*line), 0);

	if (!line)
		return NULL;
	line->length = 0;
	add(line, "%s[%d] is killed by %s: ", current->comm, current->tid, signo == SIGBUS ? "SIGBUS" : "SIGSEGV");
	return line;
}

static void explain_end_line(struct line *line)
{
	klog_record("FAULTLINE-EXPLAIN %s", line->text);
	kfree(line);
}

void explain_fault(u64 ip, u64 addr, enum fault_access access, enum fault_answer answer, struct fault_signal sig)
{
	static const char *const verbs[] = {
		[ACCESS_READ] = "read", [ACCESS_WRITE] = "wrote", [ACCESS_EXEC] = "ran into"
	};
	struct mm *mm = current->mm;
	struct line *line = begin_line(sig.signo);

	assert_no_lock_held();
	if (!line)
		return;
	add(line, "the instruction at 0x%lx %s 0x%lx, %s; ", (unsigned long)ip, verbs[access], (unsigned long)addr,
	    why(answer, addr));
	mmap_read_lock(mm);
	add_neighbours(line, mm, addr);
	mmap_read_unlock(mm);
	add_attempts(line, addr, access);
	explain_end_line(line);
}

/* The error code should name the gate, but QEMU 7.2 reports another number. */
static bool is_int80(u64 rip)
{
	u16 instruction;

	return !copy_from_user(&instruction, rip, sizeof(instruction)) && instruction == INT80;
}

/* The CPU does not report the address: appends all registers that hold one that is not canonical. */
static void add_registers(struct line *line, const struct trap_frame *frame)
{
	static const char *const names[] = { "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10",
					     "r9",  "r8",  "rax", "rcx", "rdx", "rsi", "rdi" };
	const u64 *registers = &frame->r15;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!addr_is_canonical(registers[i]))
			add(line, "; %s: 0x%lx", names[i], (unsigned long)registers[i]);
	if (!addr_is_canonical(frame->rsp))
		add(line, "; rsp: 0x%lx", (unsigned long)frame->rsp);
}

void explain_exception(const struct trap_frame *frame, const char *exception, int signo)
{
	struct line *line = begin_line(signo);

	if (!line)
		return;
	if (is_int80(frame->rip)) {
		add(line, "the instruction at 0x%lx is int $0x80, a 32-bit system call, which is not supported",
		    (unsigned long)frame->rip);
	} else if (addr_is_canonical(frame->rip)) {
		add(line, "the instruction at 0x%lx caused a %s: it is privileged, or accessed a non-canonical address",
		    (unsigned long)frame->rip, exception);
		add_registers(line, frame);
	} else {
		add(line, "it jumped to 0x%lx, a non-canonical address", (unsigned long)frame->rip);
	}
	explain_end_line(line);
}
