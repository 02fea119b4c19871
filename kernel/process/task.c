/* SPDX-License-Identifier: MIT */
/*
 * Tasks and processes as objects: memory, numbers, references, and resource usage.
 *
 * A number names a task, a process, or both (the process's first thread). The number table is written under
 * process_tree_lock and read under RCU; it holds one reference to each.
 */
#include "kernel/process/task.h"

#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "kernel/x86/kstack.h"
#include "kernel/x86/xsave.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"

spinlock_t process_tree_lock = SPINLOCK_INIT(PROCESS_TREE);
struct list_head all_processes = LIST_HEAD_INIT(all_processes);
struct process *init_process;

static struct pid_slot {
	struct task *task;
	struct process *process;
} numbers[PID_MAX];

/* Groups and sessions are found by hashing: numbers are consecutive, so two rarely share a list. */
#define NR_MEMBER_LISTS 1024
static struct list_head groups[NR_MEMBER_LISTS], sessions[NR_MEMBER_LISTS]; /* process_tree_lock */

static s32 last_number;	     /* process_tree_lock; read without it to bound a search */
static bool numbers_wrapped; /* process_tree_lock: a free number may still be the number of a group or session */
static u32 tasks_alive;	     /* process_tree_lock: tasks that have a number; read without it for a limit */
static u64 tasks_created;    /* atomic */
static s64 tasks_in_memory;  /* atomic; an ended task counts until its last switch and a grace period are over */

static struct slab_cache *task_cache, *process_cache, *fpu_cache;

void task_init(void)
{
	task_cache = slab_create("task", sizeof(struct task), CACHE_LINE);
	process_cache = slab_create("process", sizeof(struct process), 8);
	fpu_cache = slab_create("xstate", 2 * xstate_size, 64);
	for (unsigned i = 0; i < NR_MEMBER_LISTS; i++) {
		list_init(&groups[i]);
		list_init(&sessions[i]);
	}
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static void task_free(struct task *task)
{
	if (task->stack_top)
		kstack_free((char *)task->stack_top - KSTACK_SIZE);
	if (task->fpu)
		slab_free(fpu_cache, task->fpu);
	slab_free(task_cache, task);
	atomic_dec_return(&tasks_in_memory);
}

struct task *task_alloc(void)
{
	struct task *task = slab_alloc(task_cache, ALLOC_ZERO | ALLOC_WAIT);
	char *stack;

	if (!task)
		return NULL;
	atomic_inc(&tasks_created);
	atomic_inc(&tasks_in_memory);
	task->refs = 1; /* the scheduler's, dropped after its last switch */
	task->state = TASK_UNINTERRUPTIBLE;
	list_init(&task->rq_link);
	list_init(&task->thread_link);
	sigpending_init(&task->pending);
	task->altstack.flags = 2; /* SS_DISABLE */
	task->fpu = slab_alloc(fpu_cache, ALLOC_ZERO | ALLOC_WAIT);
	stack = kstack_alloc();
	if (stack)
		task->stack_top = stack + KSTACK_SIZE;
	if (!stack || !task->fpu) {
		task_free(task);
		return NULL;
	}
	return task;
}

static void task_free_rcu(struct rcu_head *head)
{
	struct task *task = container_of(head, struct task, rcu);

	if (task->process)
		process_put(task->process);
	task_free(task);
}

void task_put(struct task *task)
{
	if (atomic_dec_return(&task->refs) == 0)
		call_rcu(&task->rcu, task_free_rcu);
}

struct process *process_alloc(void)
{
	struct process *process = slab_alloc(process_cache, ALLOC_ZERO | ALLOC_WAIT);

	if (!process)
		return NULL;
	process->refs = 1;
	list_init(&process->children);
	list_init(&process->sibling);
	list_init(&process->all_link);
	list_init(&process->group_link);
	list_init(&process->session_link);
	list_init(&process->threads);
	wait_queue_init(&process->child_wait);
	wait_queue_init(&process->end_wait);
	spin_init(&process->lock, RANK_SIGNAL);
	sigpending_init(&process->pending);
	process->start_ns = ktime_ns();
	return process;
}

static void process_free_rcu(struct rcu_head *head)
{
	slab_free(process_cache, container_of(head, struct process, rcu));
}

void process_put(struct process *process)
{
	if (atomic_dec_return(&process->refs) == 0)
		call_rcu(&process->rcu, process_free_rcu);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

struct list_head *group_members(s32 pgid)
{
	return &groups[(u32)pgid % NR_MEMBER_LISTS];
}

struct list_head *session_members(s32 sid)
{
	return &sessions[(u32)sid % NR_MEMBER_LISTS];
}

void process_set_group(struct process *process, s32 pgid)
{
	assert_spin_held(&process_tree_lock);
	list_del(&process->group_link);
	WRITE_ONCE(process->pgid, pgid);
	if (pgid)
		list_add_tail(group_members(pgid), &process->group_link);
}

void process_set_session(struct process *process, s32 sid)
{
	assert_spin_held(&process_tree_lock);
	list_del(&process->session_link);
	WRITE_ONCE(process->sid, sid);
	if (sid)
		list_add_tail(session_members(sid), &process->session_link);
}

/* => process_tree_lock held. */
static bool number_names_group(s32 number)
{
	struct process *process;

	assert_spin_held(&process_tree_lock);
	for_each_in_group (process, number)
		return true;
	for_each_in_session (process, number)
		return true;
	return false;
}

static bool number_is_free(s32 number)
{
	return !numbers[number].task && !numbers[number].process && !(numbers_wrapped && number_names_group(number));
}

int task_number(struct task *task, struct process *process)
{
	assert_spin_held(&process_tree_lock);
	for (s32 tries = 0; tries < PID_MAX; tries++) {
		if (last_number + 1 >= PID_MAX) {
			WRITE_ONCE(numbers_wrapped, true);
			WRITE_ONCE(last_number, 299); /* as on Linux: low numbers are left to the first processes */
		}
		WRITE_ONCE(last_number, last_number + 1);
		if (!number_is_free(last_number))
			continue;
		task->tid = last_number;
		task_get(task);
		WRITE_ONCE(tasks_alive, tasks_alive + 1);
		store_release(&numbers[last_number].task, task);
		if (process) {
			process->pid = last_number;
			process_get(process);
			store_release(&numbers[last_number].process, process);
		}
		return 0;
	}
	return -EAGAIN;
}

void task_take_number(struct task *task, s32 pid)
{
	assert_spin_held(&process_tree_lock);
	if (task->tid == pid)
		return;
	WRITE_ONCE(numbers[task->tid].task, NULL);
	WRITE_ONCE(task->tid, pid);
	store_release(&numbers[pid].task, task);
}

void task_forget(struct task *task)
{
	assert_spin_held(&process_tree_lock);
	if (numbers[task->tid].task != task)
		return;
	WRITE_ONCE(numbers[task->tid].task, NULL);
	WRITE_ONCE(tasks_alive, tasks_alive - 1);
	task_put(task);
}

void process_forget(struct process *process)
{
	assert_spin_held(&process_tree_lock);
	WRITE_ONCE(numbers[process->pid].process, NULL);
	process_put(process);
}

/* Takes a reference to an object that may be about to be freed. Returns false if its count is zero already. */
static bool get_unless_zero(s32 *refs)
{
	s32 old = READ_ONCE(*refs);

	while (old > 0)
		if (__atomic_compare_exchange_n(refs, &old, old + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

struct task *task_find(s32 tid)
{
	struct task *task;

	if (tid <= 0 || tid >= PID_MAX)
		return NULL;
	rcu_read_lock();
	task = load_acquire(&numbers[tid].task);
	if (task && !get_unless_zero(&task->refs))
		task = NULL;
	rcu_read_unlock();
	return task;
}

struct task *task_find_or_self(s32 tid)
{
	if (tid)
		return task_find(tid);
	task_get(current);
	return current;
}

struct process *process_numbered(s32 pid)
{
	assert_spin_held(&process_tree_lock);
	return pid > 0 && pid < PID_MAX ? numbers[pid].process : NULL;
}

/* A search may miss numbers given after it began: their processes did not exist at that time. */
static s32 end_of_numbers(void)
{
	return READ_ONCE(numbers_wrapped) ? PID_MAX : READ_ONCE(last_number) + 1;
}

struct process *process_next(s32 pid)
{
	for (s32 end = end_of_numbers(); pid < end; pid++) {
		struct process *process = process_find(pid);

		if (process)
			return process;
	}
	return NULL;
}

struct process *process_find(s32 pid)
{
	struct process *process;

	if (pid <= 0 || pid >= PID_MAX)
		return NULL;
	rcu_read_lock();
	process = load_acquire(&numbers[pid].process);
	if (process && !get_unless_zero(&process->refs))
		process = NULL;
	rcu_read_unlock();
	return process;
}

struct task *process_thread(struct process *process)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct task *task = NULL;

	if (!list_empty(&process->threads)) {
		task = list_first(&process->threads, struct task, thread_link);
		task_get(task);
	}
	spin_unlock_irqrestore(&process->lock, flags);
	return task;
}

struct mm *process_mm(struct process *process)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct mm *mm = NULL;
	struct task *task;

	list_for_each (task, &process->threads, thread_link) {
		mm = task_own_mm(task);
		if (mm) {
			mmget(mm);
			break;
		}
	}
	spin_unlock_irqrestore(&process->lock, flags);
	return mm;
}

u32 nr_tasks(void)
{
	return READ_ONCE(tasks_alive);
}

u64 nr_tasks_created(void)
{
	return READ_ONCE(tasks_created);
}

u64 nr_tasks_in_memory(void)
{
	return (u64)load_acquire(&tasks_in_memory);
}

/* ---- Usage ------------------------------------------------------------------------------------------------------- */

char task_state_letter(const struct task *task)
{
	static const char letters[] = {
		[TASK_RUNNING] = 'R',	    [TASK_UNINTERRUPTIBLE] = 'D', [TASK_KILLABLE] = 'D',
		[TASK_INTERRUPTIBLE] = 'S', [TASK_STOPPED] = 'T',	  [TASK_DEAD] = 'Z',
	};

	return letters[READ_ONCE(task->state)];
}

/* Unlocked: the result for a task that runs on another CPU may be slightly out of date. */
u64 task_run_time(const struct task *task)
{
	u64 time = READ_ONCE(task->run_time);

	if (task == current)
		time += ktime_ns() - task->switched_in;
	return time;
}

void task_times(const struct task *task, u64 *user_ns, u64 *kernel_ns)
{
	u64 total = task_run_time(task);
	u64 user = READ_ONCE(task->user_ticks), kernel = READ_ONCE(task->kernel_ticks);

	*user_ns = user + kernel ? total / (user + kernel) * user : total;
	*kernel_ns = total - *user_ns;
}

void thread_count_fault(void)
{
	current->min_flt++;
}

/*
 * Turns one minor fault into a major one. Until thread_count_fault() has counted the fault, minor faults may be one too
 * few.
 */
void thread_count_as_major(void)
{
	current->maj_flt++;
	current->min_flt--;
}

u64 thread_nr_faults(void)
{
	return current->min_flt + current->maj_flt;
}

struct fault_repeat *thread_fault_repeat(void)
{
	return &current->fault_repeat;
}

u64 thread_io_wait_begin(void)
{
	return ktime_ns();
}

void thread_io_wait_end(u64 began)
{
	WRITE_ONCE(current->io_wait_ns, current->io_wait_ns + (ktime_ns() - began));
}

static void add_io(struct io_usage *sum, const struct io_usage *more)
{
	sum->read_chars += READ_ONCE(more->read_chars);
	sum->written_chars += READ_ONCE(more->written_chars);
	sum->nr_reads += READ_ONCE(more->nr_reads);
	sum->nr_writes += READ_ONCE(more->nr_writes);
	sum->read_bytes += READ_ONCE(more->read_bytes);
	sum->write_bytes += READ_ONCE(more->write_bytes);
}

void task_add_usage(const struct task *task, struct usage *usage)
{
	u64 user_ns, kernel_ns;

	task_times(task, &user_ns, &kernel_ns);
	usage->user_time += user_ns;
	usage->kernel_time += kernel_ns;
	usage->min_flt += READ_ONCE(task->min_flt);
	usage->maj_flt += READ_ONCE(task->maj_flt);
	usage->nr_voluntary += READ_ONCE(task->nr_voluntary);
	usage->nr_involuntary += READ_ONCE(task->nr_involuntary);
	add_io(&usage->io, &task->io);
}

void usage_add(struct usage *sum, const struct usage *more)
{
	sum->user_time += more->user_time;
	sum->kernel_time += more->kernel_time;
	sum->min_flt += more->min_flt;
	sum->maj_flt += more->maj_flt;
	sum->nr_voluntary += more->nr_voluntary;
	sum->nr_involuntary += more->nr_involuntary;
	sum->max_rss = max(sum->max_rss, more->max_rss);
	add_io(&sum->io, &more->io);
}

void process_usage(struct process *process, struct usage *usage)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct task *task;

	*usage = process->dead_usage;
	list_for_each (task, &process->threads, thread_link)
		task_add_usage(task, usage);
	spin_unlock_irqrestore(&process->lock, flags);
}
