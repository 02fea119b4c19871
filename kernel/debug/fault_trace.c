/* SPDX-License-Identifier: MIT */
/*
 * Fault events as text, and the merge of all CPUs' events. Takes no locks: mm/debug/events.h has the guarantees for
 * readers.
 */
#include "kernel/debug/fault_trace.h"

#include "kernel/lib/print.h"
#include "kernel/time/clock.h"
#include "mm/page/slab.h"

#define NSEC_PER_SEC 1000000000UL
#define LAST_WORDS 8 /* events of each CPU in a panic */

static const char *const access_names[] = {
	[ACCESS_READ] = "read",
	[ACCESS_WRITE] = "write",
	[ACCESS_EXEC] = "exec",
};
static const char *const kind_names[NR_FAULT_KINDS] = {
	[KIND_UNKNOWN] = "unknown",
	[KIND_ANON] = "anon",
	[KIND_MAPPING] = "mapping",
	[KIND_SWAP] = "swap",
	[KIND_WRITE_PROTECT] = "write_protect",
	[KIND_NOTHING] = "nothing",
};
static const char *const end_names[NR_FAULT_ENDS] = {
	[END_CONTINUE] = "continue", [END_ANSWERED] = "answered", [END_COMPLETED] = "completed",
	[END_GAVE_UP] = "gave_up",   [END_RETRY] = "retry",	  [END_WOULD_BLOCK] = "would_block",
};
static const char *const answer_names[] = {
	[FAULT_DONE] = "done",	       [FAULT_NO_MAPPING] = "no_mapping",	[FAULT_NO_ACCESS] = "no_access",
	[FAULT_NO_KEY] = "no_key",     [FAULT_NO_PROGRESS] = "no_progress",	[FAULT_BEYOND_END] = "beyond_end",
	[FAULT_IO_ERROR] = "io_error", [FAULT_OUT_OF_MEMORY] = "out_of_memory", [FAULT_WOULD_BLOCK] = "would_block",
	[FAULT_KILLED] = "killed",
};

/* Only a panic can read a torn event, whose bytes may have any value. */
#define NAME_OF(names, index) ((index) < ARRAY_SIZE(names) ? (names)[index] : "?")

static size_t format_attempt(char *buf, size_t size, const struct fault_event *event)
{
	union fault_story story = event->story;
	bool failed = story.end == END_GAVE_UP || story.end == END_RETRY;
	size_t len = (size_t)ksnprintf(
		buf, size, " strategy=%s address=0x%lx ip=0x%lx access=%s from=%s kind=%s end=%s %s=%s",
		NAME_OF(fault_strategy_names, story.tried), (unsigned long)event->address, (unsigned long)event->ip,
		NAME_OF(access_names, story.access), story.flags & FAULT_USER ? "user" : "kernel",
		NAME_OF(kind_names, story.kind), NAME_OF(end_names, story.end), failed ? "reason" : "answer",
		failed ? reason_name(story.reason) : NAME_OF(answer_names, story.answer));

	if (story.flags & FAULT_TRIED && len < size)
		len += (size_t)ksnprintf(buf + len, size - len, " again=1");
	if (story.skipped && len < size)
		len += (size_t)ksnprintf(buf + len, size - len, " skipped=%s", reason_name(story.skipped));
	return len;
}

void event_verdict(char *buf, size_t size, const struct fault_event *event)
{
	union fault_story story = event->story;
	const char *strategy = NAME_OF(fault_strategy_names, story.tried);

	if (story.end == END_GAVE_UP || story.end == END_RETRY)
		ksnprintf(buf, size, "%s gave up: %s", strategy, reason_name(story.reason));
	else
		ksnprintf(buf, size, "%s answered: %s", strategy, NAME_OF(answer_names, story.answer));
}

static void format_details(char *buf, size_t size, const struct fault_event *event)
{
	unsigned long address = event->address, value = event->value;

	switch ((enum fault_event_type)event->type) {
	case EVENT_attempt:
		(void)format_attempt(buf, size, event);
		break;
	case EVENT_look_again:
		ksnprintf(buf, size, " address=0x%lx reason=%s", address, reason_name((enum fault_reason)value));
		break;
	case EVENT_lock_wait:
		ksnprintf(buf, size, " lock=0x%lx rank=%s for=%s", address,
			  lock_rank_name((unsigned)value & ~EVENT_FOR_WRITING),
			  value & EVENT_FOR_WRITING ? "writing" : "reading");
		break;
	case EVENT_page_wait:
		ksnprintf(buf, size, " address=0x%lx pfn=%lu", address, value);
		break;
	case EVENT_mmap_write:
		ksnprintf(buf, size, " seq=%lu", value);
		break;
	case EVENT_vma_write:
		ksnprintf(buf, size, " vma=0x%lx-0x%lx", address, value);
		break;
	case EVENT_shootdown:
		ksnprintf(buf, size, " address=0x%lx cpus=0x%lx", address, value);
		break;
	case EVENT_flush:
		ksnprintf(buf, size, " cpus=0x%lx", value);
		break;
	case EVENT_swap_in:
	case EVENT_swap_out:
		ksnprintf(buf, size, " slot=0x%lx", value);
		break;
	case EVENT_reclaim:
		ksnprintf(buf, size, " pages=%lu", value);
		break;
	default:
		break;
	}
}

void event_format(char *buf, size_t size, unsigned cpu, const struct fault_event *event)
{
	u64 start = cycles_to_ktime(event->start), end = cycles_to_ktime(event->end);
	size_t len = (size_t)ksnprintf(buf, size, "[%03u] %lu.%09lu +%lu tid=%u %s", cpu,
				       (unsigned long)(start / NSEC_PER_SEC), (unsigned long)(start % NSEC_PER_SEC),
				       (unsigned long)(end - start), event->tid,
				       event_name((enum fault_event_type)event->type));

	if (len < size)
		format_details(buf + len, size - len, event);
}

/* ---- Merging the CPUs' events ------------------------------------------------------------------------------------ */

struct event_merge {
	struct source {
		struct event_cursor cursor;
		struct fault_event event;
		bool more;
	} of[MAX_CPUS];
	int last; /* the CPU whose event was returned last, and is to be replaced; -1: none */
};

struct event_merge *event_merge_new(void)
{
	struct event_merge *merge = kmalloc(sizeof(*merge), 0);

	if (!merge)
		return NULL;
	merge->last = -1;
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		struct source *source = &merge->of[cpu];

		event_cursor_set(&source->cursor, cpu, 0);
		source->more = event_read(&source->cursor, &source->event);
	}
	return merge;
}

const struct fault_event *event_merge_next(struct event_merge *merge, unsigned *cpu)
{
	struct source *first = NULL;

	if (merge->last >= 0) {
		struct source *source = &merge->of[merge->last];

		source->more = event_read(&source->cursor, &source->event);
	}
	merge->last = -1;
	for (unsigned i = 0; i < nr_cpus(); i++) {
		struct source *source = &merge->of[i];

		if (!source->more || (first && first->event.end <= source->event.end))
			continue;
		first = source;
		merge->last = (int)i;
	}
	if (!first)
		return NULL;
	*cpu = (unsigned)merge->last;
	return &first->event;
}

void log_last_events(unsigned cpu)
{
	struct event_cursor cursor;
	struct fault_event event;
	char line[EVENT_TEXT_MAX];

	event_cursor_set(&cursor, cpu, LAST_WORDS);
	while (event_read(&cursor, &event)) {
		event_format(line, sizeof(line), cpu, &event);
		klog_record("    %s", line);
	}
}
