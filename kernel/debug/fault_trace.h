/* SPDX-License-Identifier: MIT */
/* Fault events (mm/debug/events.h) as text, for /proc/fault_trace, panic reports and tools/faultline trace. */
#ifndef KERNEL_FAULT_TRACE_H
#define KERNEL_FAULT_TRACE_H

#include "mm/debug/events.h"

#define EVENT_TEXT_MAX 320

/* Formats an event as one line without a newline; docs/tracing.md has the format. Any context. */
void event_format(char *buf, size_t size, unsigned cpu, const struct fault_event *event);

/* Formats the result of an attempt: "spec gave up: spf_abort_no_vma", "mmap answered: no_mapping". Any context. */
void event_verdict(char *buf, size_t size, const struct fault_event *event);

/* The events of all CPUs, in the order in which they ended. */
struct event_merge;
/* Returns a merge of the events recorded so far, to be freed with kfree(), or NULL if out of memory. */
struct event_merge *event_merge_new(void);
/* Returns the next event, valid until the next call, and its CPU; NULL at the end. */
const struct fault_event *event_merge_next(struct event_merge *merge, unsigned *cpu);

/* Logs the last events of one CPU. Any context. */
void log_last_events(unsigned cpu);

#endif
