/* SPDX-License-Identifier: MIT */
/*
 * The recent history of faults: a ring of events for each CPU, always on.
 *
 * Only its own CPU writes to a ring. An interrupt handler may record an event while another is being written, so a slot
 * is first reserved by one instruction and then filled. No locks: a reader copies an event and then checks whether its
 * slot has been reused. An attempt to resolve a fault is one event, written when it ends; `current->fault` is the
 * attempt that is still going on.
 *
 *	X(name, what has ended or happened; what `value` and `address` are)
 */
#ifndef MM_EVENTS_H
#define MM_EVENTS_H

#include "mm/debug/counters.h"
#include "mm/reasons.h"

#define FAULT_EVENTS(X)                                                                                                \
	X(attempt, "a strategy's attempt to resolve a fault ended; only this one has a story, and an ip")              \
	X(look_again, "an attempt found something that made it look again; value: the reason")                         \
	X(lock_wait, "a sleeping lock was waited for; address: the lock, value: its rank, + EVENT_FOR_WRITING")        \
	X(page_wait,                                                                                                   \
	  "a fault waited for a page or a swap request; address: its own, value: the page frame number, or 0")         \
	X(mmap_write, "mmap_lock was held for writing; value: the mm's sequence number")                               \
	X(vma_write, "a VMA was locked for writing, until mmap_lock is unlocked; address, value: its bounds")          \
	X(shootdown, "other CPUs flushed translations on request; address: the first, value: the CPUs")                \
	X(flush, "translations were flushed for other CPUs; value: the CPUs")                                          \
	X(swap_in, "a page was read from swap, or its read begun; value: the slot")                                    \
	X(swap_out, "a page's write to swap was begun; value: the slot")                                               \
	X(reclaim, "memory was short, and room was made; value: pages that became free")

enum fault_event_type {
#define X(name, sentence) EVENT_##name,
	FAULT_EVENTS(X) NR_FAULT_EVENTS
};
#undef X

/* Written by one CPU while other CPUs read: by WRITE_ONCE and READ_ONCE only. */
struct fault_event {
	u64 start, end; /* cycles; equal for an event without duration */
	u64 address, value;
	u64 ip; /* attempt: address of the user instruction, or of the system call */
	union fault_story story;
	u32 tid;  /* the running thread, 0: the CPU was idle */
	u32 type; /* enum fault_event_type */
	u32 seq;  /* the position in the ring, unmasked; written once all the rest is */
	u32 pad;
} __cacheline_aligned;
_Static_assert(sizeof(struct fault_event) == CACHE_LINE, "an event is one cache line");

/* Stays a function in debug builds, so that a debugger can stop there. */
#if DEBUG
#define __event_function __noinline
#else
#define __event_function __always_inline
#endif

#define EVENT_FOR_WRITING 256u /* lock_wait: added to the rank */
#define EVENT_RING_DEFAULT 512 /* events for each CPU */
#define EVENT_RING_MAX 65536UL

/*
 * Reserves the next slot of this CPU's ring. The caller calls event_finish() before it yields the CPU.
 * @seq: set to the position.
 *
 * Context: any.
 * Returns: the slot.
 */
static inline struct fault_event *event_begin(struct event_ring *ring, u32 *seq)
{
	/* Loaded before `events`: a larger ring's mask is never used with the smaller ring. */
	u32 mask = load_acquire(&ring->mask);

	*seq = machine_local_fetch_add(&ring->head, sizeof(struct fault_event));
	return (struct fault_event *)((char *)READ_ONCE(ring->events) + (*seq & mask));
}

/* Completes the event: readers see it from now on. Context: any. */
static inline void event_finish(struct fault_event *event, u32 seq)
{
	store_release(&event->seq, seq);
}

/* Records what began at `start` (cycles) and has just ended, or what happened just now. Context: any. */
void event_ended(enum fault_event_type type, u64 start, u64 address, u64 value);
void event_now(enum fault_event_type type, u64 address, u64 value);

/* The time at which something begins that event_ended() or an attempt's event will record. */
#define event_clock() cycles()

/*
 * The kernel without event recording, built only by `make bench` to measure what recording costs. The functions'
 * definitions have their names in parentheses, so that these macros do not replace them.
 */
#ifdef WITHOUT_EVENTS
#undef event_clock
#define event_clock() 0
#define event_ended(type, start, address, value) ((void)(start))
#define event_now(type, address, value) ((void)0)
#define event_attempt(mine, fault) ((void)0)
#endif

/* ---- Names and rings. Context: any. ------------------------------------------------------------------------------ */
/* The row's name in FAULT_EVENTS. Returns: the name; "?" if there is no such type. */
const char *event_name(enum fault_event_type type);
/* The row's name in FAULT_REASONS. Returns: the name; "" for REASON_NONE. */
const char *reason_name(enum fault_reason reason);

/*
 * Gives each CPU that is up a ring of nr events, rounded up to a power of two that fills pages, at most EVENT_RING_MAX.
 * Called once; a CPU may be recording at that time.
 *
 * Context: boot.
 * Returns: false if there is no memory: events of the remaining CPUs are lost as before.
 */
bool events_init(unsigned long nr);

/* ---- Readers ----------------------------------------------------------------------------------------------------- */

/* A reader's position in one CPU's ring. */
struct event_cursor {
	unsigned cpu;
	u32 next, end; /* seq of the next to read; where the ring's head was when the cursor was set */
	u64 lost;      /* events that were overwritten, or not complete, when this reader came to them */
};

/* Sets the cursor to the oldest event that is kept, or with nr != 0 to the last nr ones. Context: any. */
void event_cursor_set(struct event_cursor *cursor, unsigned cpu, u32 nr);
/* Copies the next event that is complete. Context: any. Returns: false at the end. */
bool event_read(struct event_cursor *cursor, struct fault_event *event);
/* Events that a CPU has recorded so far. Context: any. Returns: their number, modulo 2^26. */
u32 events_recorded(unsigned cpu);

#endif
