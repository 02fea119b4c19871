/* SPDX-License-Identifier: MIT */
/*
 * epoll: waits for a persistent set of files, and polls only those that had a wake-up. (Linux: fs/eventpoll.c.)
 *
 * Each watched file has a watch, which stays queued in the file's wait queues for as long as the file is watched. A
 * wake-up there puts the watch on its epoll's ready list and wakes the threads that wait for the epoll. A wait takes
 * watches off that list and polls their files. A level-triggered watch that still has events goes back on the list; an
 * edge-triggered one stays off the list until the next wake-up.
 *
 * Locks: epoll_watches (RANK_WATCHES) guards which epoll watches which file, and keeps both alive: a watch has no
 * reference to its file, but the last put of the file removes its watches first. The epoll's own queue lock
 * (RANK_EPOLL) guards the ready list; it is taken under epoll_watches and, by wake-ups, under the lock of a file's wait
 * queue. User memory is accessed under neither.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/time/timer.h"
#include "kernel/uaccess.h"
#include "mm/vma/interval_tree.h"
#include "mm/page/slab.h"

enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3 };

#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP (1u << 29) /* concerns suspend, which this kernel does not have */
#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define EPOLL_HOW (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET) /* modes of reporting, not events */
#define EPOLL_MAY_BE_EXCLUSIVE (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define MAX_QUEUES 2	  /* wait queues of one file's poll(); a pipe and a terminal have two */
#define MAX_EVENTS 1024UL /* reported by one wait */

struct epoll_event {
	u32 events;
	u64 data;
} __attribute__((packed)); /* as Linux has it on x86-64 */

struct epoll {
	struct interval_tree watches; /* epoll_watches; of struct watch, by descriptor, linked by .of_epoll */
	struct wait_queue queue;      /* RANK_EPOLL; threads that wait for the epoll */
	struct list_head ready;	      /* queue.lock; of struct watch, linked by .ready */
};

struct watch {
	struct epoll *epoll;	       /* constant */
	struct file *file;	       /* constant, without a reference */
	int fd;			       /* constant; identifies the watch, together with the file */
	struct epoll_event event;      /* epoll_watches; no events once a one-shot has been reported */
	struct interval_node of_epoll; /* epoll_watches */
	struct list_head of_file;      /* epoll_watches */
	struct list_head ready;	       /* epoll->queue.lock */
	unsigned nr_hooks;	       /* constant once the watch is in the epoll, as are the hooks */
	struct hook {
		struct waiter waiter;
		struct wait_queue *queue; /* the file's */
		struct watch *watch;
	} hooks[MAX_QUEUES];
};

struct watch_table {
	struct poll_table table;
	struct watch *watch;
};

static struct mutex epoll_watches = MUTEX_INIT(epoll_watches, WATCHES);

/* --- wake-ups --- */

static void mark_ready(struct watch *watch)
{
	struct epoll *epoll = watch->epoll;
	unsigned long flags = spin_lock_irqsave(&epoll->queue.lock);

	if (list_empty(&watch->ready))
		list_add_tail(&epoll->ready, &watch->ready);
	spin_unlock_irqrestore(&epoll->queue.lock, flags);
}

static void make_ready(struct watch *watch)
{
	mark_ready(watch);
	wake_up_all(&watch->epoll->queue);
}

static void something_happened(struct waiter *waiter)
{
	make_ready(container_of(waiter, struct hook, waiter)->watch);
}

static void hook_up(struct poll_table *table, struct wait_queue *queue)
{
	struct watch *watch = container_of(table, struct watch_table, table)->watch;
	struct hook *hook = &watch->hooks[watch->nr_hooks++];

	BUG_ON(watch->nr_hooks > MAX_QUEUES, "a file has more than MAX_QUEUES wait queues");
	hook->waiter = (struct waiter){ .notify = something_happened };
	list_init(&hook->waiter.link);
	hook->watch = watch;
	hook->queue = queue;
	wait_enqueue(queue, &hook->waiter);
}

/* --- watches; all under epoll_watches --- */

static u32 watch_poll(const struct watch *watch)
{
	return file_poll(watch->file, NULL) & watch->event.events & ~EPOLL_HOW;
}

static struct watch *watch_find(struct epoll *epoll, const struct file *file, int fd)
{
	struct interval_node *node;

	interval_tree_for_each (node, &epoll->watches, (u64)fd, (u64)fd) {
		struct watch *watch = container_of(node, struct watch, of_epoll);

		if (watch->file == file)
			return watch;
	}
	return NULL;
}

static void watch_unready(struct watch *watch)
{
	unsigned long flags = spin_lock_irqsave(&watch->epoll->queue.lock);

	list_del(&watch->ready);
	spin_unlock_irqrestore(&watch->epoll->queue.lock, flags);
}

/* Leaves the wait queues first: after that, nothing makes the watch ready again. */
static void watch_detach(struct watch *watch)
{
	for (unsigned i = 0; i < watch->nr_hooks; i++)
		wait_dequeue(watch->hooks[i].queue, &watch->hooks[i].waiter);
	watch_unready(watch);
	interval_tree_remove(&watch->epoll->watches, &watch->of_epoll);
	list_del(&watch->of_file);
}

static void watch_remove(struct watch *watch)
{
	watch_detach(watch);
	kfree(watch);
}

/* Takes over the watch if it succeeds. A file that does not announce its changes (needs_polling) cannot be watched. */
static int watch_add(struct epoll *epoll, struct watch *watch)
{
	struct watch_table t = { .table.enqueue = hook_up, .watch = watch };
	u32 events;

	if (watch_find(epoll, watch->file, watch->fd))
		return -EEXIST;
	interval_tree_insert(&epoll->watches, &watch->of_epoll, (u64)watch->fd, (u64)watch->fd);
	list_add_tail(&watch->file->watches, &watch->of_file);
	watch->file->watched = true;
	events = file_poll(watch->file, &t.table);
	if (t.table.needs_polling) {
		watch_detach(watch);
		return -EPERM;
	}
	if (events & watch->event.events)
		make_ready(watch);
	return 0;
}

static int watch_modify(struct epoll *epoll, const struct file *file, int fd, const struct epoll_event *event)
{
	struct watch *watch = watch_find(epoll, file, fd);

	if (!watch)
		return -ENOENT;
	if (watch->event.events & EPOLLEXCLUSIVE)
		return -EINVAL;
	watch->event = *event;
	if (watch_poll(watch))
		make_ready(watch);
	return 0;
}

static int watch_delete(struct epoll *epoll, const struct file *file, int fd)
{
	struct watch *watch = watch_find(epoll, file, fd);

	if (!watch)
		return -ENOENT;
	watch_remove(watch);
	return 0;
}

void epoll_release_file(struct file *file)
{
	struct watch *watch, *next;

	mutex_lock(&epoll_watches);
	list_for_each_safe (watch, next, &file->watches, of_file)
		watch_remove(watch);
	mutex_unlock(&epoll_watches);
}

/* --- the ready list; under epoll_watches --- */

/* Moves the whole list to the front of another, in constant time. */
static void epoll_move_all(struct list_head *from, struct list_head *to_front_of)
{
	struct list_head *first = from->next, *last = from->prev;

	if (list_empty(from))
		return;
	last->next = to_front_of->next;
	to_front_of->next->prev = last;
	to_front_of->next = first;
	first->prev = to_front_of;
	list_init(from);
}

/*
 * Moves all ready watches to `taken`. A wake-up does not queue a watch that is on `taken` again. epoll_give_back()
 * returns the watches that are left there.
 */
static void take_ready(struct epoll *epoll, struct list_head *taken)
{
	unsigned long flags = spin_lock_irqsave(&epoll->queue.lock);

	epoll_move_all(&epoll->ready, taken);
	spin_unlock_irqrestore(&epoll->queue.lock, flags);
}

static void epoll_give_back(struct epoll *epoll, struct list_head *taken)
{
	unsigned long flags = spin_lock_irqsave(&epoll->queue.lock);

	epoll_move_all(taken, &epoll->ready);
	spin_unlock_irqrestore(&epoll->queue.lock, flags);
}

/* --- the file --- */

static u32 epoll_poll(struct file *file, struct poll_table *table)
{
	struct epoll *epoll = file->private;
	struct list_head taken = LIST_HEAD_INIT(taken);
	struct watch *watch;
	u32 events = 0;

	poll_wait(table, &epoll->queue);
	mutex_lock(&epoll_watches);
	take_ready(epoll, &taken);
	list_for_each (watch, &taken, ready) {
		if (watch_poll(watch)) {
			events = POLLIN | POLLRDNORM;
			break;
		}
	}
	epoll_give_back(epoll, &taken);
	mutex_unlock(&epoll_watches);
	return events;
}

static void epoll_release(struct file *file)
{
	struct epoll *epoll = file->private;

	if (!epoll)
		return;
	mutex_lock(&epoll_watches);
	while (!interval_tree_is_empty(&epoll->watches))
		watch_remove(container_of(epoll->watches.root, struct watch, of_epoll));
	mutex_unlock(&epoll_watches);
	kfree(epoll);
}

static s64 epoll_seek(struct file *file, s64 offset, int whence)
{
	(void)file, (void)offset, (void)whence;
	return 0; /* as on Linux */
}

static const struct file_ops epoll_ops = {
	.poll = epoll_poll,
	.llseek = epoll_seek,
	.release = epoll_release,
};

static struct file *epoll_open(void)
{
	struct inode *inode = inode_alloc(&anon_super, 0600, NULL, NULL); /* cannot be opened by path */
	struct epoll *epoll;
	struct file *file;

	if (!inode)
		return err_ptr(-ENOMEM);
	file = file_open_anon(inode, "anon_inode:[eventpoll]", &epoll_ops, O_RDWR);
	if (is_err(file))
		return file;
	epoll = kmalloc(sizeof(*epoll), ALLOC_ZERO | ALLOC_WAIT);
	file->private = epoll;
	if (!epoll) {
		file_put(file);
		return err_ptr(-ENOMEM);
	}
	list_init(&epoll->ready);
	list_init(&epoll->queue.waiters);
	spin_init(&epoll->queue.lock, RANK_EPOLL);
	return file;
}

SYSCALL(epoll_create)
{
	return (s32)a0 <= 0 ? -EINVAL : fd_install_new(epoll_open(), 0);
}

SYSCALL(epoll_create1)
{
	u32 flags = (u32)a0;

	return flags & ~(u32)O_CLOEXEC ? -EINVAL : fd_install_new(epoll_open(), flags);
}

/* --- epoll_ctl --- */

static struct watch *watch_create(struct epoll *epoll, struct file *file, int fd, const struct epoll_event *event)
{
	struct watch *watch = kmalloc(sizeof(*watch), ALLOC_ZERO | ALLOC_WAIT);

	if (!watch)
		return NULL;
	watch->epoll = epoll;
	watch->file = file;
	watch->fd = fd;
	watch->event = *event;
	list_init(&watch->of_file);
	list_init(&watch->ready);
	return watch;
}

static int epoll_add(struct epoll *epoll, struct file *file, int fd, const struct epoll_event *event)
{
	struct watch *watch = watch_create(epoll, file, fd, event);
	int ret;

	if (!watch)
		return -ENOMEM;
	mutex_lock(&epoll_watches);
	ret = watch_add(epoll, watch);
	mutex_unlock(&epoll_watches);
	if (ret)
		kfree(watch);
	return ret;
}

static int epoll_change(struct epoll *epoll, u32 op, struct file *file, int fd, const struct epoll_event *event)
{
	int ret;

	mutex_lock(&epoll_watches);
	ret = op == EPOLL_CTL_MOD ? watch_modify(epoll, file, fd, event) : watch_delete(epoll, file, fd);
	mutex_unlock(&epoll_watches);
	return ret;
}

static int epoll_control(struct epoll *epoll, u32 op, struct file *file, int fd, struct epoll_event *event)
{
	event->events |= POLLERR | POLLHUP; /* always reported */
	switch (op) {
	case EPOLL_CTL_ADD:
		return epoll_add(epoll, file, fd, event);
	case EPOLL_CTL_MOD:
	case EPOLL_CTL_DEL:
		return epoll_change(epoll, op, file, fd, event);
	default:
		return -EINVAL;
	}
}

static int check_control(const struct file *epoll, u32 op, const struct file *file, u32 events)
{
	bool nested = file->ops == &epoll_ops;

	if (!file->ops->poll)
		return -EPERM;
	if (epoll == file || epoll->ops != &epoll_ops)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && (events & EPOLLEXCLUSIVE) &&
	    (op == EPOLL_CTL_MOD || nested || (events & ~EPOLL_MAY_BE_EXCLUSIVE)))
		return -EINVAL;
	return nested && op == EPOLL_CTL_ADD ? -ELOOP : 0; /* as on Linux for epolls that are nested too deeply */
}

SYSCALL(epoll_ctl)
{
	struct epoll_event event = {};
	struct file *epoll, *file;
	u32 op = (u32)a1;
	int ret = -EBADF;

	if (op != EPOLL_CTL_DEL && copy_from_user(&event, a3, sizeof(event)))
		return -EFAULT;
	epoll = fget((int)a0);
	if (!epoll)
		return -EBADF;
	file = fget((int)a2);
	if (file) {
		ret = check_control(epoll, op, file, event.events);
		if (!ret)
			ret = epoll_control(epoll->private, op, file, (int)a2, &event);
		file_put(file);
	}
	file_put(epoll);
	return ret;
}

/* --- epoll_wait --- */

struct wait_call {
	struct epoll *epoll;
	struct epoll_event *found; /* [room] */
	u64 room;
};

/* Polls one watch and fills in *found. Returns false if the watch has no events any more. */
static bool tell(struct watch *watch, struct epoll_event *found)
{
	watch_unready(watch);
	found->events = watch_poll(watch);
	found->data = watch->event.data;
	if (!found->events)
		return false;
	if (watch->event.events & EPOLLONESHOT)
		watch->event.events &= EPOLL_HOW;
	else if (!(watch->event.events & EPOLLET))
		mark_ready(watch);
	return true;
}

static long wait_round(void *arg, struct poll_table *table)
{
	struct wait_call *call = arg;
	struct list_head taken = LIST_HEAD_INIT(taken);
	u64 n = 0;

	poll_wait(table, &call->epoll->queue);
	mutex_lock(&epoll_watches);
	take_ready(call->epoll, &taken);
	while (n < call->room && !list_empty(&taken))
		n += tell(list_first(&taken, struct watch, ready), &call->found[n]);
	epoll_give_back(call->epoll, &taken);
	mutex_unlock(&epoll_watches);
	return (long)n;
}

static long epoll_wait_for(struct epoll *epoll, u64 user_events, u64 max, u64 deadline)
{
	/* Unlocked: the next wait can report watches that are added from here on. */
	u64 room = min(min(max, MAX_EVENTS), READ_ONCE(epoll->watches.nr) + 1);
	struct wait_call call = { .epoll = epoll, .room = room };
	long ret;

	call.found = kmalloc(room * sizeof(call.found[0]), ALLOC_WAIT);
	if (!call.found)
		return -ENOMEM;
	ret = poll_until(wait_round, &call, deadline);
	if (ret > 0 && copy_to_user(user_events, call.found, (u64)ret * sizeof(call.found[0])))
		ret = -EFAULT;
	kfree(call.found);
	return ret;
}

static long epoll_wait_until(int fd, u64 user_events, s32 max, u64 deadline)
{
	struct file *file;
	long ret = -EINVAL;

	if (max <= 0 || (u64)max > 0x7fffffff / sizeof(struct epoll_event))
		return -EINVAL;
	if (!access_ok(user_events, (u64)max * sizeof(struct epoll_event)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	if (file->ops == &epoll_ops)
		ret = epoll_wait_for(file->private, user_events, (u64)max, deadline);
	file_put(file);
	return ret;
}

static u64 epoll_deadline_of(s32 ms)
{
	return ms < 0 ? TIME_NEVER : ktime_ns() + (u64)ms * 1000000;
}

/* If a signal ends the wait, its handler runs under the mask of the call, which is therefore not restored here. */
static long wait_masked(u64 a0, u64 a1, u64 a2, u64 deadline, u64 user_mask, u64 mask_size)
{
	long ret = poll_set_mask(user_mask, mask_size);

	if (ret)
		return ret;
	ret = epoll_wait_until((int)a0, a1, (s32)a2, deadline);
	if (ret != -EINTR)
		signal_restore_mask();
	return ret;
}

SYSCALL(epoll_wait)
{
	return epoll_wait_until((int)a0, a1, (s32)a2, epoll_deadline_of((s32)a3));
}

SYSCALL(epoll_pwait)
{
	return wait_masked(a0, a1, a2, epoll_deadline_of((s32)a3), a4, a5);
}

SYSCALL(epoll_pwait2)
{
	u64 deadline;
	int ret = poll_deadline(a3, &deadline);

	return ret ? ret : wait_masked(a0, a1, a2, deadline, a4, a5);
}
