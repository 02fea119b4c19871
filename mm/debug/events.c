/* SPDX-License-Identifier: MIT */
/* The rings of fault events: recording rare events, reading, and the rings' size. See events.h. Takes no locks. */
#include "mm/debug/events.h"

#include "mm/page/page_alloc.h"

#define EVENT_BYTES ((u32)sizeof(struct fault_event))

/* Until a CPU has its ring, its events are written here, where no reader looks. */
static struct fault_event before_boot;

struct per_cpu_counters counters[MAX_CPUS] = {
	[0 ... MAX_CPUS - 1] = { .v = { .ring = { .head = EVENT_BYTES, .events = &before_boot } } },
};

void(event_ended)(enum fault_event_type type, u64 start, u64 address, u64 value)
{
	u32 seq;
	struct fault_event *event = event_begin(&my_counters()->ring, &seq);

	WRITE_ONCE(event->start, start);
	WRITE_ONCE(event->end, cycles());
	WRITE_ONCE(event->address, address);
	WRITE_ONCE(event->value, value);
	WRITE_ONCE(event->ip, 0);
	WRITE_ONCE(event->story.bits, 0);
	WRITE_ONCE(event->tid, machine_tid());
	WRITE_ONCE(event->type, type);
	event_finish(event, seq);
}

void(event_now)(enum fault_event_type type, u64 address, u64 value)
{
	(event_ended)(type, cycles(), address, value);
}

const char *event_name(enum fault_event_type type)
{
	static const char *const names[NR_FAULT_EVENTS] = {
#define X(name, sentence) [EVENT_##name] = #name,
		FAULT_EVENTS(X)
#undef X
	};

	return type < NR_FAULT_EVENTS ? names[type] : "?";
}

const char *reason_name(enum fault_reason reason)
{
	const char *name = reason < NR_FAULT_REASONS ? counter_name(COUNT_FIRST_REASON + reason) : NULL;

	return name ? name : "";
}

/* ---- Size -------------------------------------------------------------------------------------------------------- */

static unsigned order_of(unsigned long nr)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < min(nr, EVENT_RING_MAX) * EVENT_BYTES)
		order++;
	return order;
}

bool events_init(unsigned long nr)
{
	unsigned order = order_of(nr);

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		struct event_ring *ring = &per_cpu(counters, cpu).ring;
		struct page *page = alloc_pages(order, ALLOC_ZERO);

		if (!page)
			return false;
		WRITE_ONCE(ring->events, page_to_virt(page));
		store_release(&ring->mask, (u32)(PAGE_SIZE << order) - EVENT_BYTES);
	}
	return true;
}

/* ---- Readers ----------------------------------------------------------------------------------------------------- */

void event_cursor_set(struct event_cursor *cursor, unsigned cpu, u32 nr)
{
	const struct event_ring *ring = &per_cpu(counters, cpu).ring;
	u32 size = load_acquire(&ring->mask) + EVENT_BYTES;
	u32 head = load_acquire(&ring->head);
	/* The first position is skipped: an empty slot there looks as if it were complete. */
	u32 kept = min(head - EVENT_BYTES, size);

	if (nr)
		kept = min(kept, nr * EVENT_BYTES);
	*cursor = (struct event_cursor){ .cpu = cpu, .next = head - kept, .end = head };
}

static void copy_event(struct fault_event *copy, const struct fault_event *event)
{
	/* Acquire: the head is read again after all of these loads. */
	copy->start = load_acquire(&event->start);
	copy->end = load_acquire(&event->end);
	copy->address = load_acquire(&event->address);
	copy->value = load_acquire(&event->value);
	copy->ip = load_acquire(&event->ip);
	copy->story.bits = load_acquire(&event->story.bits);
	copy->tid = load_acquire(&event->tid);
	copy->type = load_acquire(&event->type);
}

bool event_read(struct event_cursor *cursor, struct fault_event *copy)
{
	const struct event_ring *ring = &per_cpu(counters, cursor->cpu).ring;
	u32 mask = load_acquire(&ring->mask);
	const char *events = (const char *)READ_ONCE(ring->events);

	while ((s32)(cursor->end - cursor->next) > 0) { /* ends, even if a panic finds the ring corrupt */
		u32 seq = cursor->next;
		const struct fault_event *event = (const struct fault_event *)(events + (seq & mask));
		bool complete = load_acquire(&event->seq) == seq;

		cursor->next += EVENT_BYTES;
		copy_event(copy, event);
		if (complete && READ_ONCE(ring->head) - seq <= mask + EVENT_BYTES)
			return true;
		cursor->lost++;
	}
	return false;
}

u32 events_recorded(unsigned cpu)
{
	return (READ_ONCE(per_cpu(counters, cpu).ring.head) - EVENT_BYTES) / EVENT_BYTES;
}
