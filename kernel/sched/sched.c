/* SPDX-License-Identifier: MIT */
/*
 * The scheduler. See sched.h for the policy.
 *
 * A run queue holds the runnable tasks of its CPU except the running one. Its lock (RANK_RUN_QUEUE, interrupts off) is
 * held across the switch and released by the next task, so a CPU that acquires it sees the previous task's registers
 * saved. No CPU waits for one of these locks while it holds another: a task that moves is dequeued from one queue, then
 * enqueued on the other; in between it is TASK_RUNNING and on_rq, so no other CPU moves or wakes it.
 */
#include "kernel/sched/sched.h"

#include "kernel/debug/hang.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/smp.h"
#include "kernel/time/clock.h"
#include "mm/fault/fault_sleep.h"
#include "mm/machine.h"
#include "mm/table/tlb.h"

struct run_queue {
	spinlock_t lock;
	u32 cpu;		  /* constant */
	struct list_head fresh;	  /* runnable tasks that are task->fresh, first in, first out, ... */
	struct list_head waiting; /* ... and those that are not */
	u32 nr;			  /* length of both lists; also read without the lock: a stale value only costs time */
	struct task *curr;	  /* the running task */
	struct task *idle;	  /* constant after the CPU's boot */
	u64 charged;		  /* ns: time up to which curr and the debt have been charged */
	u64 debt; /* ns that fresh tasks ran while others waited, less what the others ran since; at most TURN_NS */
	bool repaying; /* set when the debt becomes due, cleared when it is zero */
	u64 nr_switches;
	u64 idle_ns;
	u64 user_ticks, kernel_ticks; /* written by the CPU itself; read without the lock */
};
STATIC_PER_CPU(struct run_queue, run_queues);
static struct task idle_tasks[MAX_CPUS];

/* CPUs that wait in the idle loop. A waker claims one by clearing its bit; the CPU itself clears it when it resumes. */
static u64 idle_cpus;

/* ---- Queues ------------------------------------------------------------------------------------------------------ */

/* Locks and returns the queue that the task belongs to. => interrupts off. */
static struct run_queue *lock_task_queue(struct task *task)
{
	assert_irqs_off();
	for (;;) {
		struct run_queue *rq = &per_cpu(run_queues, READ_ONCE(task->cpu));

		spin_lock(&rq->lock);
		if (rq->cpu == READ_ONCE(task->cpu))
			return rq;
		spin_unlock(&rq->lock);
	}
}

static bool claim_idle_cpu(u32 cpu)
{
	u64 bit = 1UL << cpu;

	return (READ_ONCE(idle_cpus) & bit) && (atomic_and(&idle_cpus, ~bit) & bit);
}

/*
 * Chooses a CPU for the task: its own CPU if that is idle, else any idle one, else the waker's if the waker will sleep
 * next for the task (hands_over), else the one with the shortest queue.
 */
static u32 choose_cpu(const struct task *task)
{
	u64 allowed = READ_ONCE(task->affinity);
	u64 idle = READ_ONCE(idle_cpus) & allowed;
	u32 best = READ_ONCE(task->cpu), shortest = ~0u;

	if ((idle >> best & 1) && claim_idle_cpu(best))
		return best;
	for (; idle; idle &= idle - 1) {
		u32 cpu = (u32)__builtin_ctzl(idle);

		if (claim_idle_cpu(cpu))
			return cpu;
	}
	if (current->hands_over && (allowed >> cpu_id() & 1))
		return cpu_id();
	if (allowed >> best & 1)
		shortest = READ_ONCE(per_cpu(run_queues, best).nr);
	for (u32 cpu = 0; cpu < nr_cpus(); cpu++) {
		u32 nr = READ_ONCE(per_cpu(run_queues, cpu).nr);

		if ((allowed >> cpu & 1) && nr < shortest) {
			best = cpu;
			shortest = nr;
		}
	}
	return best;
}

/* Charges the running task for the time since the last charge. => rq->lock held. */
static void sched_charge(struct run_queue *rq, u64 now)
{
	u64 ran = now - rq->charged;

	assert_spin_held(&rq->lock);
	rq->charged = now;
	rq->curr->turn_left -= (s64)ran;
	if (!rq->curr->fresh)
		rq->debt -= min(rq->debt, ran);
	else if (list_empty(&rq->waiting))
		rq->debt = 0;
	else
		rq->debt = min(rq->debt + ran, TURN_NS);
	if (rq->debt == TURN_NS)
		rq->repaying = true;
	else if (!rq->debt)
		rq->repaying = false;
}

/*
 * Only the tick can end a turn or the debt. If one would end nearer to this tick than to the next, it ends now. =>
 * rq->lock held.
 */
static void round_to_tick(struct run_queue *rq)
{
	assert_spin_held(&rq->lock);
	if (rq->curr->turn_left < (s64)(TICK_NS / 2))
		rq->curr->turn_left = 0;
	if (rq->repaying && rq->debt < TICK_NS / 2) {
		rq->debt = 0;
		rq->repaying = false;
	} else if (rq->debt > TURN_NS - TICK_NS / 2) {
		rq->repaying = true;
	}
}

/* Appends the task; if its turn is used up, it gets a new one but is no longer fresh. => rq->lock held. */
static void queue_last(struct run_queue *rq, struct task *task)
{
	assert_spin_held(&rq->lock);
	if (task->turn_left <= 0) {
		task->turn_left = TURN_NS;
		task->fresh = false;
	}
	list_add_tail(task->fresh ? &rq->fresh : &rq->waiting, &task->rq_link);
	WRITE_ONCE(rq->nr, rq->nr + 1);
}

/* Puts a task that ran first in its list, to continue its turn. => rq->lock held. */
static void queue_first(struct run_queue *rq, struct task *task)
{
	assert_spin_held(&rq->lock);
	list_add(task->fresh ? &rq->fresh : &rq->waiting, &task->rq_link);
	WRITE_ONCE(rq->nr, rq->nr + 1);
}

/* => rq->lock held. */
static void sched_dequeue(struct run_queue *rq, struct task *task)
{
	assert_spin_held(&rq->lock);
	list_del(&task->rq_link);
	WRITE_ONCE(rq->nr, rq->nr - 1);
}

/* Dequeues the task to run next; NULL if there is none. => rq->lock held. */
static struct task *dequeue_next(struct run_queue *rq)
{
	bool fresh = !list_empty(&rq->fresh) && (!rq->repaying || list_empty(&rq->waiting));
	struct list_head *queue = fresh ? &rq->fresh : &rq->waiting;
	struct task *task;

	assert_spin_held(&rq->lock);
	if (list_empty(queue))
		return NULL;
	task = list_first(queue, struct task, rq_link);
	sched_dequeue(rq, task);
	return task;
}

/* Enqueues a runnable task, which is on no queue, on that of `cpu`. => interrupts off. */
static void enqueue(struct task *task, u32 cpu)
{
	struct run_queue *rq = &per_cpu(run_queues, cpu);
	bool preempts;

	assert_irqs_off();
	spin_lock(&rq->lock);
	WRITE_ONCE(task->cpu, cpu);
	task->on_rq = true;
	queue_last(rq, task);
	preempts = rq->curr->is_idle || (task->fresh && !rq->curr->fresh && !rq->repaying);
	if (preempts)
		atomic_or(&rq->curr->work, WORK_RESCHED);
	spin_unlock(&rq->lock);
	if (preempts && cpu != cpu_id())
		smp_send_reschedule(cpu);
}

bool sched_wake(struct task *task, u32 states)
{
	unsigned long flags = irq_save();
	struct run_queue *rq = lock_task_queue(task);
	bool sleeping = states >> task->state & 1;
	bool queued = task->on_rq;

	if (sleeping) {
		WRITE_ONCE(task->state, TASK_RUNNING);
		task->fresh |= !queued;
		task->on_rq = true; /* if it was false: the task is now on no queue, and only we enqueue it */
	}
	spin_unlock(&rq->lock);
	if (sleeping && !queued)
		enqueue(task, choose_cpu(task));
	irq_restore(flags);
	return sleeping;
}

void sched_start(struct task *task)
{
	unsigned long flags = irq_save();

	task->state = TASK_RUNNING;
	task->cpu = cpu_id();
	task->fresh = current->fresh; /* a burst of new threads is bounded by the debt */
	task->turn_left = max(current->turn_left, 1L);
	enqueue(task, choose_cpu(task));
	irq_restore(flags);
}

/* Returns the first task of the list that may run on that CPU, or NULL. => a spinlock held. */
static struct task *first_for_cpu(struct list_head *queue, u32 cpu)
{
	struct task *task;

	assert_in_atomic();
	list_for_each (task, queue, rq_link)
		if (task->affinity >> cpu & 1)
			return task;
	return NULL;
}

/* Moves a task here from the longest queue. Returns true if there was one. => interrupts off. */
static bool pull(struct run_queue *rq)
{
	struct run_queue *busiest = NULL;
	struct task *task;

	assert_irqs_off();
	for (u32 cpu = 0; cpu < nr_cpus(); cpu++) {
		struct run_queue *other = &per_cpu(run_queues, cpu);

		if (READ_ONCE(other->nr) > (busiest ? READ_ONCE(busiest->nr) : 0))
			busiest = other;
	}
	if (!busiest || busiest == rq)
		return false;
	spin_lock(&busiest->lock);
	task = first_for_cpu(&busiest->fresh, rq->cpu) ?: first_for_cpu(&busiest->waiting, rq->cpu);
	if (task)
		sched_dequeue(busiest, task);
	spin_unlock(&busiest->lock);
	if (task)
		enqueue(task, rq->cpu);
	return task;
}

/* ---- Switching --------------------------------------------------------------------------------------------------- */

/* The second half of a switch, on the stack of the task that now runs. => interrupts off. */
static void finish_switch(struct task *prev)
{
	bool move = prev->state == TASK_RUNNING && !prev->is_idle && !(prev->affinity >> cpu_id() & 1);
	bool dead = prev->state == TASK_DEAD;

	assert_irqs_off();
	spin_unlock(&this_cpu(run_queues).lock);
	if (unlikely(move))
		enqueue(prev, choose_cpu(prev));
	if (unlikely(dead))
		task_put(prev);
}

void task_started(struct task *prev)
{
	finish_switch(prev);
}

static void account_switch(struct run_queue *rq, struct task *prev, struct task *next, u64 now)
{
	prev->run_time += now - prev->switched_in;
	if (prev->is_idle)
		WRITE_ONCE(rq->idle_ns, rq->idle_ns + now - prev->switched_in);
	if (prev->state == TASK_RUNNING)
		prev->nr_involuntary++;
	else
		prev->nr_voluntary++;
	next->switched_in = now;
	if (!next->is_idle)
		timer_want_tick(now + TICK_NS);
	WRITE_ONCE(rq->nr_switches, rq->nr_switches + 1);
}

/* Requeues prev if it is runnable and may stay on this CPU; otherwise finish_switch() moves it, or it sleeps. */
static void requeue(struct run_queue *rq, struct task *prev)
{
	if (prev->is_idle)
		return;
	if (prev->state != TASK_RUNNING) {
		prev->on_rq = false;
	} else if (prev->affinity >> rq->cpu & 1) {
		if (prev->turn_left > 0)
			queue_first(rq, prev);
		else
			queue_last(rq, prev);
	}
}

void schedule(void)
{
	unsigned long flags = irq_save();
	struct run_queue *rq = &this_cpu(run_queues);
	struct task *prev = current, *next;
	u64 now = ktime_ns();

	assert_no_spinlock_held();
#if DEBUG
	ASSERT(!in_atomic(), "no thread sleeps while holding a spinlock");
#endif
	rcu_quiescent();
	spin_lock(&rq->lock);
	atomic_and(&prev->work, ~WORK_RESCHED);
	sched_charge(rq, now);
	requeue(rq, prev);
	next = dequeue_next(rq) ?: rq->idle;
	if (next == prev) {
		spin_unlock_irqrestore(&rq->lock, flags);
		return;
	}
	account_switch(rq, prev, next, now);
	rq->curr = next;
	mm_switch_cpu(prev->mm, next->mm);
	finish_switch(switch_context(prev, next));
	irq_restore(flags);
}

void sched_yield(void)
{
	unsigned long flags = irq_save();
	struct run_queue *rq = &this_cpu(run_queues);

	assert_no_spinlock_held();
	spin_lock(&rq->lock);
	current->turn_left = 0;
	spin_unlock_irqrestore(&rq->lock, flags);
	schedule();
}

void sched_exit(void)
{
	irq_disable();
	current->state = TASK_DEAD;
	schedule();
	panic("task %d ran after it had exited", current->tid);
}

/* ---- Boot and idling --------------------------------------------------------------------------------------------- */

/* => interrupts off. */
static void become_idle_task(u32 cpu)
{
	struct run_queue *rq = &per_cpu(run_queues, cpu);
	struct task *task = &idle_tasks[cpu];

	assert_irqs_off();
	task->is_idle = true;
	task->on_rq = true;
	task->cpu = cpu;
	task->affinity = 1UL << cpu;
	task->switched_in = ktime_ns();
	ksnprintf(task->comm, sizeof(task->comm), "idle/%u", cpu);
	list_init(&task->rq_link);
	rq->idle = rq->curr = task;
	rq->charged = task->switched_in;
	this_cpu_struct()->task = task;
}

void sched_init(void)
{
	for (u32 cpu = 0; cpu < MAX_CPUS; cpu++) {
		struct run_queue *rq = &per_cpu(run_queues, cpu);

		spin_init(&rq->lock, RANK_RUN_QUEUE);
		rq->cpu = cpu;
		list_init(&rq->fresh);
		list_init(&rq->waiting);
		rq->idle = rq->curr = &idle_tasks[cpu];
		idle_tasks[cpu].is_idle = true;
	}
	become_idle_task(cpu_id());
}

/* => interrupts off, and afterwards. */
static void wait_for_work(struct run_queue *rq)
{
	u64 bit = 1UL << rq->cpu;

	assert_irqs_off();
	atomic_or(&idle_cpus, bit); /* a full barrier: a CPU that missed the bit has queued its task before we look */
	if (!READ_ONCE(rq->nr) && !pull(rq)) {
		if (rcu_pending())
			timer_want_tick(ktime_ns() + TICK_NS);
		rcu_idle_enter();
		cpu_idle_wait();
		irq_disable();
		rcu_idle_exit();
	}
	atomic_and(&idle_cpus, ~bit);
}

void cpu_start_scheduling(void)
{
	struct run_queue *rq = &this_cpu(run_queues);

	irq_disable();
	if (rq->curr != current)
		become_idle_task(cpu_id());
	hang_watch();
	rcu_idle_exit(); /* a CPU counts as idle until it is up, and the first task may come before the first halt */
	for (;;) {
		irq_enable();
		if (rcu_pending())
			rcu_run_callbacks();
		irq_disable();
		wait_for_work(rq);
		irq_enable();
		if (READ_ONCE(rq->nr))
			schedule();
	}
}

/* ---- Ticks, and the return to user mode -------------------------------------------------------------------------- */

/* Returns whether the running task must give up the CPU. => interrupts off. */
static bool turn_ends(struct run_queue *rq)
{
	const struct task *task = rq->curr;
	bool gives_way;

	assert_irqs_off();
	spin_lock(&rq->lock);
	sched_charge(rq, ktime_ns());
	round_to_tick(rq);
	if (task->fresh)
		gives_way = rq->repaying && !list_empty(&rq->waiting);
	else
		gives_way = !rq->repaying && !list_empty(&rq->fresh);
	gives_way |= task->turn_left <= 0 && rq->nr;
	spin_unlock(&rq->lock);
	return gives_way;
}

void sched_tick(bool user)
{
	struct run_queue *rq = &this_cpu(run_queues);
	struct task *task = current;
	u64 others;

	assert_irqs_off();
	if (user)
		task->user_ticks++;
	else
		task->kernel_ticks++;
	if (user)
		rcu_quiescent();
	hang_note_tick(user);
	if (task->is_idle)
		return;
	if (user)
		WRITE_ONCE(rq->user_ticks, rq->user_ticks + 1);
	else
		WRITE_ONCE(rq->kernel_ticks, rq->kernel_ticks + 1);
	timer_want_tick(ktime_ns() + TICK_NS);
	itimers_tick(task, user);
	rlimit_cpu_tick(task->process);
	if (turn_ends(rq) || rcu_pending())
		atomic_or(&task->work, WORK_RESCHED);
	others = READ_ONCE(idle_cpus);
	if (READ_ONCE(rq->nr) && others)
		smp_send_reschedule((u32)__builtin_ctzl(others)); /* that CPU will pull a task */
}

/* => interrupts off, and afterwards. */
static void do_work(u32 work, struct trap_frame *frame)
{
	assert_irqs_off();
	if (work & WORK_SAME_CALL)
		atomic_and(&current->work, ~(WORK_SAME_CALL | WORK_SAME_STRETCH));
	irq_enable();
	if (work & WORK_RESCHED) {
		if (rcu_pending())
			rcu_run_callbacks();
		schedule();
	}
	if (work & (WORK_SIGNAL | WORK_RESTORE))
		signal_deliver(frame);
	irq_disable();
}

void exit_to_user(struct trap_frame *frame)
{
	frame->orig_rax = -1UL; /* no system call: nothing to restart */
	syscall_exit_to_user(frame);
}

void syscall_exit_to_user(struct trap_frame *frame)
{
	struct task *task = current;
	u32 work;

	while ((work = READ_ONCE(task->work) & ~WORK_FRAME) != 0)
		do_work(work, frame);
	assert_no_locks_held("a task returns to user mode");
}

/* ---- Affinity ---------------------------------------------------------------------------------------------------- */

int sched_set_affinity(struct task *task, u64 wanted)
{
	u64 online = nr_cpus() == MAX_CPUS ? ~0UL : (1UL << nr_cpus()) - 1;
	u64 cpus = wanted & online;
	bool move = false, elsewhere;
	unsigned long flags;
	struct run_queue *rq;

	assert_may_sleep();
	if (!cpus)
		return -EINVAL;
	flags = irq_save();
	rq = lock_task_queue(task);
	WRITE_ONCE(task->affinity, cpus);
	elsewhere = !(cpus >> rq->cpu & 1);
	if (elsewhere && !list_empty(&task->rq_link)) {
		sched_dequeue(rq, task);
		move = true;
	} else if (elsewhere && rq->curr == task) {
		atomic_or(&task->work, WORK_RESCHED);
	}
	spin_unlock(&rq->lock);
	if (move)
		enqueue(task, choose_cpu(task));
	else if (elsewhere && task != current)
		smp_send_reschedule(rq->cpu);
	irq_restore(flags);
	if (elsewhere && task == current)
		schedule();
	return 0;
}

/* ---- kernel/sched/thread.h --------------------------------------------------------------------------------------- */

struct thread *current_thread(void)
{
	return (struct thread *)current;
}

int thread_id(const struct thread *thread)
{
	return ((const struct task *)thread)->tid;
}

void thread_prepare_sleep(enum sleep_state state)
{
	static const u8 states[] = {
		[SLEEP_UNINTERRUPTIBLE] = TASK_UNINTERRUPTIBLE,
		[SLEEP_KILLABLE] = TASK_KILLABLE,
		[SLEEP_INTERRUPTIBLE] = TASK_INTERRUPTIBLE,
	};

	atomic_xchg(&current->state, states[state]); /* a full barrier: announced before the condition is read */
}

/* The sender of a signal may not have seen the announced state, and so not have woken us: check again. */
void thread_sleep(void)
{
	struct task *task = current;

	assert_may_sleep();
	assert_fault_may_sleep(task->state != TASK_UNINTERRUPTIBLE);
	if (task->state == TASK_INTERRUPTIBLE && signal_pending())
		thread_cancel_sleep();
	else if (task->state == TASK_KILLABLE && thread_killed())
		thread_cancel_sleep();
	schedule();
}

void thread_cancel_sleep(void)
{
	WRITE_ONCE(current->state, TASK_RUNNING);
}

void thread_wake(struct thread *thread)
{
	sched_wake(task_of(thread), ANY_SLEEP);
}

void cond_resched(void)
{
	struct task *task = current;
	u32 work = READ_ONCE(task->work);

	assert_may_sleep();
	if (unlikely(work & WORK_SAME_STRETCH))
		atomic_and(&task->work, ~WORK_SAME_STRETCH);
	if (work & WORK_RESCHED) {
		if (rcu_pending())
			rcu_run_callbacks();
		schedule();
	} else {
		rcu_quiescent();
	}
}

struct lock_wait *current_lock_wait(void)
{
	struct task *task = current;

	return task ? &task->waits : NULL;
}

#if DEBUG
struct held_locks *current_held_locks(void)
{
	struct task *task = current;

	return task ? &task->held : NULL;
}
#endif

/* ---- For /proc --------------------------------------------------------------------------------------------------- */

u32 sched_nr_running(void)
{
	u32 sum = 0;

	for (u32 cpu = 0; cpu < nr_cpus(); cpu++) {
		struct run_queue *rq = &per_cpu(run_queues, cpu);

		sum += READ_ONCE(rq->nr) + !READ_ONCE(rq->curr)->is_idle;
	}
	return sum;
}

u64 sched_nr_switches(void)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < nr_cpus(); cpu++)
		sum += READ_ONCE(per_cpu(run_queues, cpu).nr_switches);
	return sum;
}

struct cpu_usage sched_cpu_usage(u32 cpu)
{
	struct run_queue *rq = &per_cpu(run_queues, cpu);
	unsigned long flags = spin_lock_irqsave(&rq->lock);
	struct cpu_usage usage = {
		.user_ns = READ_ONCE(rq->user_ticks) * TICK_NS,
		.kernel_ns = READ_ONCE(rq->kernel_ticks) * TICK_NS,
		.idle_ns = rq->idle_ns,
	};

	if (rq->curr->is_idle)
		usage.idle_ns += ktime_ns() - rq->curr->switched_in;
	spin_unlock_irqrestore(&rq->lock, flags);
	return usage;
}
