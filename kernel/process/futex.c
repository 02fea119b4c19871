/* SPDX-License-Identifier: MIT */
/*
 * Futexes: sleeping on a word of user memory.
 *
 * A key identifies a word: address space and address or, in a shared mapping, mapping and offset. The word is read
 * under the bucket's lock with a nofault copy (rule 11): if that fails, the lock is dropped, the page is faulted in,
 * and the operation starts again. While one bucket is locked, a second one is only trylocked.
 *
 * Locks: mmap_lock for reading, briefly, to find a shared key; then a bucket (RANK_FUTEX); wake-ups happen under it.
 */
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"
#include "mm/vma/vma.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE_FLAG 128u
#define FUTEX_CLOCK_REALTIME 256u
#define FUTEX_BITSET_MATCH_ANY 0xffffffffu

#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
#define ROBUST_LIST_LIMIT 2048

#define NR_BUCKETS 256

struct futex_key {
	struct mapping *mapping; /* NULL: private; otherwise with a reference */
	struct mm *mm;		 /* private: the address space */
	u64 offset;		 /* the user address, or the offset in the mapping */
};

struct bucket {
	spinlock_t lock;
	struct list_head waiters; /* struct futex_waiter */
} __cacheline_aligned;

/* On the stack of the sleeper. Protected by the lock of `bucket`, which a requeue changes. */
struct futex_waiter {
	struct list_head link;
	struct bucket *bucket; /* NULL: woken. Changed under the old bucket's lock */
	struct task *task;
	struct futex_key key;
	u32 bitset;
};

static struct bucket buckets[NR_BUCKETS] = {
	[0 ... NR_BUCKETS - 1] = { .lock = SPINLOCK_INIT(FUTEX) },
};

/* ---- Keys and buckets -------------------------------------------------------------------------------------------- */

/*
 * As Linux's get_futex_key(), refuses words that no thread could ever change: unreadable ones, and private ones that
 * cannot be written.
 */
static bool may_hold_futex(const struct vma *vma)
{
	return vma && (vma->flags & VM_READ) && (vma->mapping || (vma->flags & VM_WRITE));
}

static int shared_key(vaddr_t addr, struct futex_key *key)
{
	struct mm *mm = current->mm;
	struct vma *vma;
	int error;

	mmap_read_lock(mm);
	vma = vma_tree_find(&mm->tree, addr);
	error = may_hold_futex(vma) ? 0 : -EFAULT;
	if (!error && (vma->flags & VM_SHARED) && vma->mapping) {
		key->mapping = vma->mapping;
		key->offset = (vma->pgoff << PAGE_SHIFT) + (addr - vma->start);
		mapping_get(key->mapping);
	}
	mmap_read_unlock(mm);
	return error;
}

/* Looks up the key of an address. On success the caller calls key_put(). */
static int get_key(vaddr_t addr, bool shared, struct futex_key *key)
{
	if (addr % sizeof(u32))
		return -EINVAL;
	if (!access_ok(addr, sizeof(u32)))
		return -EFAULT;
	*key = (struct futex_key){ .mm = current->mm, .offset = addr };
	return shared ? shared_key(addr, key) : 0;
}

static void key_put(struct futex_key *key)
{
	if (key->mapping)
		mapping_put(key->mapping);
}

static bool same_key(const struct futex_key *a, const struct futex_key *b)
{
	return a->offset == b->offset && a->mapping == b->mapping && (a->mapping || a->mm == b->mm);
}

static struct bucket *key_bucket(const struct futex_key *key)
{
	u64 hash = key->offset ^ (key->mapping ? (u64)key->mapping : (u64)key->mm);

	return &buckets[(hash * 0x9e3779b97f4a7c15UL) >> 56];
}

/* The list is initialised on first use, so that futexes need no boot step. */
static void bucket_lock(struct bucket *bucket)
{
	spin_lock(&bucket->lock);
	if (!bucket->waiters.next)
		list_init(&bucket->waiters);
}

static void two_buckets_lock(struct bucket *a, struct bucket *b)
{
	for (;;) {
		bucket_lock(a);
		if (a == b)
			return;
		if (spin_trylock(&b->lock))
			break;
		spin_unlock(&a->lock);
		cpu_relax();
	}
	if (!b->waiters.next)
		list_init(&b->waiters);
}

static void two_buckets_unlock(struct bucket *a, struct bucket *b)
{
	if (a != b)
		spin_unlock(&b->lock);
	spin_unlock(&a->lock);
}

/* ---- Waking ------------------------------------------------------------------------------------------------------ */

/* The waiter's stack may be gone once bucket is NULL, so the task is referenced. => waiter->bucket->lock held. */
static void wake_waiter(struct futex_waiter *waiter)
{
	struct task *task = waiter->task;

	assert_spin_held(&waiter->bucket->lock);
	task_get(task);
	list_del(&waiter->link);
	store_release(&waiter->bucket, NULL);
	sched_wake(task, ANY_SLEEP);
	task_put(task);
}

static int wake_in_bucket(struct bucket *bucket, const struct futex_key *key, int nr, u32 bitset)
{
	struct futex_waiter *waiter, *next;
	int woken = 0;

	list_for_each_safe (waiter, next, &bucket->waiters, link) {
		if (woken >= nr)
			break;
		if (!same_key(&waiter->key, key) || !(waiter->bitset & bitset))
			continue;
		wake_waiter(waiter);
		woken++;
	}
	return woken;
}

static long futex_wake(vaddr_t addr, bool shared, int nr, u32 bitset)
{
	struct futex_key key;
	struct bucket *bucket;
	int error, woken;

	if (!bitset)
		return -EINVAL;
	error = get_key(addr, shared, &key);
	if (error)
		return error;
	bucket = key_bucket(&key);
	bucket_lock(bucket);
	woken = wake_in_bucket(bucket, &key, max(nr, 1), bitset);
	spin_unlock(&bucket->lock);
	key_put(&key);
	return woken;
}

void futex_wake_exit(vaddr_t addr)
{
	assert_may_sleep();
	futex_wake(addr, true, 1, FUTEX_BITSET_MATCH_ANY);
	futex_wake(addr, false, 1, FUTEX_BITSET_MATCH_ANY);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

/* Enqueues the waiter if the word still holds `value`. Returns: 0; -EAGAIN; or -EFAULT: fault it in, and try again. */
static int enqueue_if(struct futex_waiter *waiter, vaddr_t addr, u32 value)
{
	struct bucket *bucket = key_bucket(&waiter->key);
	u32 now;
	int error;

	bucket_lock(bucket);
	error = user_load_nofault(&now, addr);
	if (!error && now != value)
		error = -EAGAIN;
	if (!error) {
		waiter->bucket = bucket;
		list_add_tail(&bucket->waiters, &waiter->link);
	}
	spin_unlock(&bucket->lock);
	return error;
}

/* Returns true if the waiter was still queued, and so was not woken. */
static bool futex_dequeue(struct futex_waiter *waiter)
{
	struct bucket *bucket;

	while ((bucket = load_acquire(&waiter->bucket)) != NULL) {
		spin_lock(&bucket->lock);
		if (waiter->bucket == bucket) {
			list_del(&waiter->link);
			spin_unlock(&bucket->lock);
			return true;
		}
		spin_unlock(&bucket->lock); /* it was requeued or woken in between */
	}
	return false;
}

/* Sleeps until woken (0), interrupted (-EINTR) or the deadline (-ETIMEDOUT). */
static int sleep_queued(struct futex_waiter *waiter, u64 deadline)
{
	int error = 0;

	assert_may_sleep();
	for (;;) {
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		if (!load_acquire(&waiter->bucket) || error || signal_pending())
			break;
		if (!sleep_until(deadline))
			error = -ETIMEDOUT;
	}
	thread_cancel_sleep();
	if (!futex_dequeue(waiter))
		return 0;
	return error ? error : -EINTR;
}

static int wait_once(vaddr_t addr, bool shared, u32 value, u64 deadline, u32 bitset)
{
	struct futex_waiter waiter = { .task = current, .bitset = bitset };
	int error = get_key(addr, shared, &waiter.key);

	if (error)
		return error;
	for (;;) {
		error = enqueue_if(&waiter, addr, value);
		if (error != -EFAULT)
			break;
		error = user_fault_in_readable(addr);
		if (error)
			break;
	}
	if (!error)
		error = sleep_queued(&waiter, deadline);
	key_put(&waiter.key);
	return error;
}

/* arg: address, shared, value, bitset. */
static long wait_restart(struct restart *restart)
{
	int error = wait_once(restart->arg[0], restart->arg[1], (u32)restart->arg[2], restart->deadline,
			      (u32)restart->arg[3]);

	return error == -EINTR ? -ERESTART_BLOCK : error;
}

static long futex_wait(vaddr_t addr, bool shared, u32 value, u64 deadline, u32 bitset)
{
	struct restart *restart = &current->restart;
	int error;

	if (!bitset)
		return -EINVAL;
	error = wait_once(addr, shared, value, deadline, bitset);
	if (error != -EINTR)
		return error;
	if (deadline == TIME_NEVER)
		return -ERESTARTSYS;
	*restart = (struct restart){ wait_restart, deadline, { addr, shared, value, bitset } };
	return -ERESTART_BLOCK;
}

/* ---- Requeueing -------------------------------------------------------------------------------------------------- */

/*
 * A waiter that stays in its bucket keeps its place: at the end, the caller's walk would meet it again.
 * => waiter->bucket->lock held; to->lock held.
 */
static void move_waiter(struct futex_waiter *waiter, struct bucket *to, const struct futex_key *key)
{
	assert_spin_held(&waiter->bucket->lock);
	assert_spin_held(&to->lock);
	if (waiter->key.mapping)
		mapping_put(waiter->key.mapping);
	waiter->key = *key;
	if (key->mapping)
		mapping_get(key->mapping);
	if (waiter->bucket == to)
		return;
	list_del(&waiter->link);
	list_add_tail(&to->waiters, &waiter->link);
	store_release(&waiter->bucket, to);
}

static int wake_and_move(struct bucket *from, const struct futex_key *from_key, struct bucket *to,
			 const struct futex_key *to_key, int nr_wake, int nr_move)
{
	struct futex_waiter *waiter, *next;
	int done = 0, moved = 0;

	list_for_each_safe (waiter, next, &from->waiters, link) {
		if (!same_key(&waiter->key, from_key))
			continue;
		if (done < nr_wake)
			wake_waiter(waiter);
		else if (moved < nr_move && ++moved)
			move_waiter(waiter, to, to_key);
		else
			break;
		done++;
	}
	return done;
}

/* expect: NULL, or what the first word must hold. */
static long requeue_keys(vaddr_t addr, const u32 *expect, struct futex_key *from_key, struct futex_key *to_key,
			 int nr_wake, int nr_move)
{
	struct bucket *from = key_bucket(from_key), *to = key_bucket(to_key);
	long answer;
	u32 now;

	for (;;) {
		bool faulted;

		two_buckets_lock(from, to);
		faulted = expect && user_load_nofault(&now, addr);
		if (!faulted && expect && now != *expect)
			answer = -EAGAIN;
		else if (!faulted)
			answer = wake_and_move(from, from_key, to, to_key, nr_wake, nr_move);
		two_buckets_unlock(from, to);
		if (!faulted)
			return answer;
		answer = user_fault_in_readable(addr);
		if (answer)
			return answer;
	}
}

static long futex_requeue(vaddr_t from, vaddr_t to, bool shared, const u32 *expect, int nr_wake, int nr_move)
{
	struct futex_key from_key, to_key;
	long answer;

	if (nr_wake < 0 || nr_move < 0)
		return -EINVAL;
	answer = get_key(from, shared, &from_key);
	if (answer)
		return answer;
	answer = get_key(to, shared, &to_key);
	if (!answer) {
		answer = requeue_keys(from, expect, &from_key, &to_key, nr_wake, nr_move);
		key_put(&to_key);
	}
	key_put(&from_key);
	return answer;
}

/* ---- Wake-op ----------------------------------------------------------------------------------------------------- */

static s32 sign_extend_12(u32 value)
{
	return (s32)(value << 20) >> 20;
}

/* Applies the encoded operation to the word. Sets *answer to whether the old value passes the comparison. */
static int apply_op(u32 encoded, vaddr_t addr, bool *answer)
{
	u32 op = encoded >> 28 & 7, compare = encoded >> 24 & 15;
	s32 arg = sign_extend_12(encoded >> 12), cmp_arg = sign_extend_12(encoded), old;
	u32 word, seen, new;

	if (encoded >> 31)
		arg = (s32)(1u << (arg & 31));
	do {
		if (user_load_nofault(&word, addr))
			return -EFAULT;
		new = op == 0	? (u32)arg
		      : op == 1 ? word + (u32)arg
		      : op == 2 ? word | (u32)arg
		      : op == 3 ? word & ~(u32)arg
				: word ^ (u32)arg;
		if (user_cmpxchg_nofault(addr, word, new, &seen))
			return -EFAULT;
	} while (seen != word);
	old = (s32)word;
	*answer = compare == 0	 ? old == cmp_arg
		  : compare == 1 ? old != cmp_arg
		  : compare == 2 ? old < cmp_arg
		  : compare == 3 ? old <= cmp_arg
		  : compare == 4 ? old > cmp_arg
				 : old >= cmp_arg;
	return 0;
}

static long wake_op_keys(struct futex_key *key1, struct futex_key *key2, vaddr_t addr2, int nr1, int nr2, u32 encoded)
{
	struct bucket *first = key_bucket(key1), *second = key_bucket(key2);

	for (;;) {
		bool passes = false;
		int error, woken = 0;

		two_buckets_lock(first, second);
		error = apply_op(encoded, addr2, &passes);
		if (!error)
			woken = wake_in_bucket(first, key1, max(nr1, 1), FUTEX_BITSET_MATCH_ANY);
		if (!error && passes)
			woken += wake_in_bucket(second, key2, max(nr2, 1), FUTEX_BITSET_MATCH_ANY);
		two_buckets_unlock(first, second);
		if (!error)
			return woken;
		error = user_fault_in_writable(addr2);
		if (error)
			return error;
	}
}

static long futex_wake_op(vaddr_t addr1, vaddr_t addr2, bool shared, int nr1, int nr2, u32 encoded)
{
	struct futex_key key1, key2;
	long answer;

	if ((encoded >> 28 & 7) > 4 || (encoded >> 24 & 15) > 5)
		return -ENOSYS;
	answer = get_key(addr1, shared, &key1);
	if (answer)
		return answer;
	answer = get_key(addr2, shared, &key2);
	if (!answer) {
		answer = wake_op_keys(&key1, &key2, addr2, nr1, nr2, encoded);
		key_put(&key2);
	}
	key_put(&key1);
	return answer;
}

/* ---- The calls --------------------------------------------------------------------------------------------------- */

static int get_deadline(u32 op, u32 cmd, vaddr_t timeout, u64 *deadline)
{
	u64 ns;
	int error;

	*deadline = TIME_NEVER;
	if (!timeout)
		return 0;
	error = get_timespec(&ns, timeout);
	if (error)
		return error;
	if (cmd == FUTEX_WAIT)
		*deadline = time_add(ktime_ns(), ns);
	else
		*deadline = clock_deadline(op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, ns);
	return 0;
}

SYSCALL(futex)
{
	u32 op = (u32)a1, cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), value3 = (u32)a5;
	bool shared = !(op & FUTEX_PRIVATE_FLAG);
	u64 deadline;
	int error;

	if ((op & FUTEX_CLOCK_REALTIME) && cmd != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		error = get_deadline(op, cmd, a3, &deadline);
		if (error)
			return error;
		return futex_wait(a0, shared, (u32)a2, deadline, cmd == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : value3);
	case FUTEX_WAKE:
		return futex_wake(a0, shared, (int)a2, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return futex_wake(a0, shared, (int)a2, value3);
	case FUTEX_REQUEUE:
		return futex_requeue(a0, a4, shared, NULL, (int)a2, (int)a3);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(a0, a4, shared, &value3, (int)a2, (int)a3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(a0, a4, shared, (int)a2, (int)a3, value3);
	}
	return -ENOSYS;
}

/* ---- Robust lists: the locks that a dying thread still holds ----------------------------------------------------- */

struct robust_list_head {
	u64 next;
	s64 futex_offset;
	u64 pending;
};

SYSCALL(set_robust_list)
{
	if (a1 != sizeof(struct robust_list_head))
		return -EINVAL;
	current->robust_list = a0;
	return 0;
}

SYSCALL(get_robust_list)
{
	struct task *task = (s32)a0 ? task_find((s32)a0) : current;
	u64 size = sizeof(struct robust_list_head), head;
	bool allowed;

	if (!task)
		return -ESRCH;
	allowed = may_access(task->process, OWN_REAL_IDS);
	head = READ_ONCE(task->robust_list);
	if (task != current || (s32)a0)
		task_put(task);
	if (!allowed)
		return -EPERM;
	return put_user(size, a2) || put_user(head, a1) ? -EFAULT : 0;
}

/* Compares and exchanges, and faults the page in as often as necessary. */
static int cmpxchg_user(vaddr_t addr, u32 expect, u32 desired, u32 *old)
{
	while (user_cmpxchg_nofault(addr, expect, desired, old))
		if (user_fault_in_writable(addr))
			return -EFAULT;
	return 0;
}

/* Marks one lock as left by its dead owner. */
static int owner_died(vaddr_t addr, bool pi, bool pending)
{
	u32 word, seen, tid = (u32)current->tid;

	if (addr % sizeof(u32) || get_user(&word, addr))
		return -EFAULT;
	if (pending && !pi && !word) {
		futex_wake_exit(addr);
		return 0;
	}
	for (;;) {
		if ((word & FUTEX_TID_MASK) != tid)
			return 0;
		if (cmpxchg_user(addr, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen))
			return -EFAULT;
		if (seen == word)
			break;
		word = seen;
	}
	if (!pi && (word & FUTEX_WAITERS))
		futex_wake_exit(addr);
	return 0;
}

void futex_exit(struct task *task)
{
	struct robust_list_head head;
	vaddr_t list = task->robust_list, entry, next;

	assert_may_sleep();
	if (!list || copy_from_user(&head, list, sizeof(head)))
		return;
	entry = head.next;
	for (int i = 0; i < ROBUST_LIST_LIMIT && (entry & ~1UL) != list; i++) {
		int error = get_user(&next, entry & ~1UL);

		/* The lock that was being taken or released comes last, whether or not it is in the list. */
		if (entry != head.pending && owner_died((entry & ~1UL) + (u64)head.futex_offset, entry & 1, false))
			return;
		if (error)
			return;
		entry = next;
		cond_resched();
	}
	if (head.pending)
		owner_died((head.pending & ~1UL) + (u64)head.futex_offset, head.pending & 1, true);
}
