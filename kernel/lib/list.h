/* SPDX-License-Identifier: MIT */
/* Circular doubly linked lists whose links live inside the objects. No locking of their own. */
#ifndef KERNEL_LIST_H
#define KERNEL_LIST_H

#include "kernel/lib/base.h"

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)                                                                                           \
	{                                                                                                              \
		&(name), &(name)                                                                                       \
	}

static inline void list_init(struct list_head *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_insert_between(struct list_head *entry, struct list_head *prev, struct list_head *next)
{
	entry->prev = prev;
	entry->next = next;
	prev->next = entry;
	next->prev = entry;
}

static inline void list_add(struct list_head *head, struct list_head *entry)
{
	list_insert_between(entry, head, head->next);
}

static inline void list_add_tail(struct list_head *head, struct list_head *entry)
{
	list_insert_between(entry, head->prev, head);
}

/* Unlinks the entry and leaves it an empty list, so that unlinking twice is harmless. */
static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
/*
 * Returns the link of an entry. At the end of a loop `pos` is the head, treated as an entry, and only its link may be
 * accessed.
 */
#define list_link(pos, member) ((struct list_head *)((char *)(pos) + offsetof(typeof(*(pos)), member)))
#define list_for_each(pos, head, member)                                                                               \
	for (pos = list_entry((head)->next, typeof(*pos), member); list_link(pos, member) != (head);                   \
	     pos = list_entry(list_link(pos, member)->next, typeof(*pos), member))
/* Safe against removal of the current entry. */
#define list_for_each_safe(pos, tmp, head, member)                                                                     \
	for (pos = list_entry((head)->next, typeof(*pos), member),                                                     \
	    tmp = list_entry(list_link(pos, member)->next, typeof(*pos), member);                                      \
	     list_link(pos, member) != (head);                                                                         \
	     pos = tmp, tmp = list_entry(list_link(tmp, member)->next, typeof(*tmp), member))

#endif
