/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: CPUs, interrupts, sleep and wake-up, TLB shootdowns. Its memory management unit is in mmu.c.
 *
 * Each CPU is a POSIX thread that lives as long as the process: it waits, as if halted, until it is given a function to
 * run. One kernel thread runs on each CPU, so a thread that sleeps halts its CPU, which then handles interrupts and
 * runs RCU callbacks, as the idle loop does.
 */
#include "sim_internal.h"

#include "kernel/lib/string.h"
#include "kernel/sync/lockdep.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/page/page_alloc.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct sim_cpu sim_cpus[MAX_CPUS];
unsigned sim_nr_cpus;
bool sim_may_map_low = true;
bool sim_may_lock_memory = true;
_Thread_local unsigned sim_cpu_id;
_Thread_local bool sim_irqs_on;
_Thread_local const struct fault *sim_fault;
static u64 machine_seed;

struct sim_cpu *sim_this_cpu(void)
{
	return &sim_cpus[sim_cpu_id];
}

u64 sim_seed(void)
{
	return machine_seed;
}

u64 sim_random(void)
{
	u64 *state = &sim_this_cpu()->random;

	*state ^= *state << 13; /* xorshift64, Marsaglia 2003 */
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- Halting ----------------------------------------------------------------------------------------------------- */

/* Wakes a halted CPU so that it checks for work. */
static void kick(struct sim_cpu *cpu)
{
	(void)atomic_add_return(&cpu->events, 1);
	if (__atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &cpu->events, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/*
 * Halts until an event is raised after `seen` was read from cpu->events, for at most a millisecond, as with a timer
 * tick.
 */
static void halt(struct sim_cpu *cpu, u32 seen)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	(void)atomic_xchg(&cpu->halted, true);
	syscall(SYS_futex, &cpu->events, FUTEX_WAIT_PRIVATE, seen, &tick, NULL, 0);
	(void)atomic_xchg(&cpu->halted, false);
}

/* The idle loop: handles interrupts, runs RCU callbacks and halts, until `done` returns true. */
static void idle_until(bool (*done)(struct sim_cpu *cpu))
{
	struct sim_cpu *cpu = sim_this_cpu();

	for (;;) {
		u32 seen = __atomic_load_n(&cpu->events, __ATOMIC_SEQ_CST);

		sim_poll_interrupts();
		rcu_quiescent();
		rcu_run_callbacks();
		if (done(cpu))
			return;
		rcu_idle_enter();
		halt(cpu, seen);
		rcu_idle_exit();
	}
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

struct thread *current_thread(void)
{
	return (struct thread *)sim_this_cpu();
}

void *machine_counters(void)
{
	return &this_cpu(counters);
}

u32 machine_tid(void)
{
	return (u32)SIM_TID(cpu_id());
}

int thread_id(const struct thread *thread)
{
	return SIM_TID((const struct sim_cpu *)thread - sim_cpus);
}

struct held_locks *current_held_locks(void)
{
	return &sim_this_cpu()->held_locks;
}

struct lock_wait *current_lock_wait(void)
{
	return &sim_this_cpu()->lock_wait;
}

void thread_count_fault(void)
{
	sim_this_cpu()->minor_faults++;
}

u64 thread_nr_faults(void)
{
	return sim_this_cpu()->minor_faults + sim_this_cpu()->major_faults;
}

struct fault_repeat *thread_fault_repeat(void)
{
	return &sim_this_cpu()->fault_repeat;
}

/* A thread has at most one I/O wait at a time, which must be ended with the number that began it. */
u64 thread_io_wait_begin(void)
{
	struct sim_cpu *cpu = sim_this_cpu();

	ASSERT(!cpu->io_wait, "a thread waits for one device at a time");
	cpu->io_wait = ++cpu->nr_io_waits;
	return cpu->io_wait;
}

void thread_io_wait_end(u64 began)
{
	struct sim_cpu *cpu = sim_this_cpu();

	ASSERT(cpu->io_wait && cpu->io_wait == began, "a wait for a device ends once, and has begun");
	cpu->io_wait = 0;
}

u64 sim_io_waits(void)
{
	return sim_this_cpu()->nr_io_waits;
}

const void *sim_waits_for(unsigned cpu)
{
	return load_acquire(&sim_cpus[cpu].lock_wait.lock);
}

void sim_assert_at_rest(const char *when)
{
	const struct sim_cpu *cpu = sim_this_cpu();

	assert_no_locks_held(when);
	BUG_ON(cpu->lock_wait.lock, "%s that still says that it waits for a lock", when);
	BUG_ON(cpu->io_wait, "%s that still says that it waits for a device", when);
	BUG_ON(READ_ONCE(cpu->sleep_announced), "%s that has announced a sleep", when);
}

void thread_count_as_major(void)
{
	sim_this_cpu()->minor_faults--;
	sim_this_cpu()->major_faults++;
}

u64 sim_major_faults(void)
{
	return sim_this_cpu()->major_faults;
}

void thread_prepare_sleep(enum sleep_state state)
{
	struct sim_cpu *cpu = sim_this_cpu();

	WRITE_ONCE(cpu->sleep_state, (u8)state);
	(void)atomic_xchg(&cpu->sleep_announced, true);
}

static bool woken(struct sim_cpu *cpu)
{
	return !load_acquire(&cpu->sleep_announced);
}

void thread_sleep(void)
{
	struct sim_cpu *cpu = sim_this_cpu();

	ASSERT(!in_atomic(), "a thread must not sleep while a spinlock is held");
	ASSERT(irqs_enabled(), "a thread must not sleep with interrupts off");
	ASSERT(!rcu_read_lock_held(), "a thread must not sleep inside an RCU section");
	assert_fault_may_sleep(cpu->sleep_state != SLEEP_UNINTERRUPTIBLE);
	WRITE_ONCE(cpu->asleep, true);
	idle_until(woken);
	WRITE_ONCE(cpu->asleep, false);
}

void thread_cancel_sleep(void)
{
	(void)atomic_xchg(&sim_this_cpu()->sleep_announced, false);
}

void thread_wake(struct thread *thread)
{
	struct sim_cpu *cpu = (struct sim_cpu *)thread;

	(void)atomic_xchg(&cpu->sleep_announced, false);
	kick(cpu);
}

bool thread_may_lock_memory(void)
{
	return READ_ONCE(sim_may_lock_memory);
}

bool thread_may_map_low(void)
{
	return READ_ONCE(sim_may_map_low);
}

bool thread_killed(void)
{
	return load_acquire(&sim_this_cpu()->killed);
}

/* Kills no process: this machine has none. */
bool out_of_memory(void)
{
	return false;
}

void cond_resched(void)
{
	assert_may_sleep();
	sim_poll_interrupts();
	rcu_quiescent();
	sched_yield();
}

void sim_kill(unsigned id)
{
	struct sim_cpu *cpu = &sim_cpus[id];

	store_release(&cpu->killed, true);
	if (READ_ONCE(cpu->sleep_state) != SLEEP_UNINTERRUPTIBLE)
		thread_wake((struct thread *)cpu);
}

bool sim_is_sleeping(unsigned id)
{
	return READ_ONCE(sim_cpus[id].asleep);
}

/* ---- Interrupts and shootdowns ----------------------------------------------------------------------------------- */

/* Handles every shootdown request that has been sent to this CPU. */
void sim_poll_interrupts(void)
{
	struct sim_cpu *cpu = sim_this_cpu();
	u64 senders;

	if (!sim_irqs_on || !__atomic_load_n(&cpu->shootdowns, __ATOMIC_RELAXED))
		return;
	sim_irqs_on = false;
	senders = atomic_xchg(&cpu->shootdowns, 0);
	event_now(EVENT_flush, 0, senders);
	for (unsigned id = 0; id < sim_nr_cpus; id++) {
		struct sim_shootdown *request = &sim_cpus[id].request;

		if (!(senders & 1UL << id))
			continue;
		machine_tlb_flush_local(request->start, request->end);
		(void)atomic_and(&request->waiting_for, ~(1UL << cpu_id())); /* may be reused from here on */
	}
	sim_irqs_on = true;
}

void machine_tlb_shootdown(u64 targets, vaddr_t start, vaddr_t end)
{
	struct sim_shootdown *request = &sim_this_cpu()->request;

	ASSERT(irqs_enabled(), "a shootdown is awaited with interrupts on");
	ASSERT(!(targets & 1UL << cpu_id()), "a CPU must not send a shootdown to itself");
	request->start = start;
	request->end = end;
	store_release(&request->waiting_for, targets);
	for (unsigned id = 0; id < sim_nr_cpus; id++) {
		if (!(targets & 1UL << id))
			continue;
		(void)atomic_or(&sim_cpus[id].shootdowns, 1UL << cpu_id());
		kick(&sim_cpus[id]);
	}
	race_point(shootdown_sent);
	while (load_acquire(&request->waiting_for))
		cpu_relax();
}

/* Simulates `pause`: handles interrupts, and at times yields, so that the host can run another CPU. */
void sim_relax(void)
{
	sim_poll_interrupts();
	if (++sim_this_cpu()->relaxed % 4 == 0)
		sched_yield();
}

/* ---- CPUs -------------------------------------------------------------------------------------------------------- */

static bool has_work(struct sim_cpu *cpu)
{
	return load_acquire(&cpu->func) != NULL;
}

static void cpu_bring_up(unsigned id)
{
	struct sim_cpu *cpu = &sim_cpus[id];

	sim_cpu_id = id;
	cpu->random = (machine_seed + 1) * 0x9e3779b97f4a7c15UL + id * 0xbf58476d1ce4e5b9UL + 1;
	rcu_idle_exit();
	sim_irqs_on = true;
}

static void *cpu_main(void *arg)
{
	struct sim_cpu *cpu = arg;

	cpu_bring_up((unsigned)(cpu - sim_cpus));
	for (;;) {
		idle_until(has_work);
		cpu->func(cpu->arg);
		BUG_ON(cpu->mm, "thread %d ended inside an address space", SIM_TID(cpu_id()));
		sim_assert_at_rest("a thread ended");
		store_release(&cpu->func, NULL);
		kick(&sim_cpus[0]);
	}
	return NULL;
}

void sim_start(unsigned id, sim_func *func, void *arg)
{
	struct sim_cpu *cpu = &sim_cpus[id];

	BUG_ON(id == 0 || id >= sim_nr_cpus || sim_running(id), "CPU %u cannot be given work", id);
	cpu->arg = arg;
	cpu->killed = false; /* a new thread */
	store_release(&cpu->func, func);
	kick(cpu);
}

bool sim_running(unsigned id)
{
	return load_acquire(&sim_cpus[id].func) != NULL;
}

static unsigned joining; /* used by CPU 0 only */

static bool joined(struct sim_cpu *cpu)
{
	(void)cpu;
	return !sim_running(joining);
}

void sim_join(unsigned id)
{
	joining = id;
	idle_until(joined);
}

void sim_join_all(void)
{
	for (unsigned id = 1; id < sim_nr_cpus; id++)
		sim_join(id);
}

void sim_boot(unsigned nr_cpus, u64 seed)
{
	machine_seed = seed;
	sim_nr_cpus = nr_cpus;
	sim_memory_init();
	cpu_bring_up(0);
	sim_kernel_init();
	for (unsigned id = 1; id < nr_cpus; id++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, cpu_main, &sim_cpus[id]))
			panic("cannot create a thread for CPU %u", id);
	}
}

/* ---- The log, and failures --------------------------------------------------------------------------------------- */

bool sim_verbose;
static char log_text[1 << 16];
static u32 log_used;

/* Keeps the text for the report of a failure. Every CPU writes: an atomic counter allots the places. */
void klog(const char *fmt, ...)
{
	char line[512];
	va_list args;
	int len;
	u32 at;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	len = min(len, (int)sizeof(line) - 2);
	line[len++] = '\n';
	if (sim_verbose && write(1, line, len) < 0)
		abort();
	at = __atomic_fetch_add(&log_used, (u32)len, __ATOMIC_RELAXED);
	for (int i = 0; i < len && at + i < sizeof(log_text); i++)
		WRITE_ONCE(log_text[at + i], line[i]);
}

bool sim_log_says(const char *text)
{
	return strstr(log_text, text) != NULL;
}

int kvsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	return vsnprintf(buf, size, fmt, args);
}

int ksnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len;
}

static const char *cpu_doing(unsigned id)
{
	if (id == 0)
		return "the test";
	return READ_ONCE(sim_cpus[id].func) ? "running" : "idle";
}

static void dump_cpu(unsigned id)
{
	const struct sim_cpu *cpu = &sim_cpus[id];
	u64 waiting_for = READ_ONCE(cpu->request.waiting_for);

	printf("  CPU %u: %s%s%s", id, cpu_doing(id), READ_ONCE(cpu->asleep) ? ", asleep" : "",
	       READ_ONCE(cpu->killed) ? ", killed" : "");
	if (waiting_for)
		printf(", waits for CPUs %#lx to answer its shootdown", (unsigned long)waiting_for);
	for (unsigned point = 0; point < NR_RACE_POINTS; point++)
		if (race_stopped_at(point) == SIM_TID(id))
			printf(", stopped at %s", race_point_name(point));
	printf("\n");
}

void sim_dump(void)
{
	for (unsigned id = 0; id < sim_nr_cpus; id++)
		dump_cpu(id);
	if (!sim_verbose)
		printf("%.*s", (int)min(READ_ONCE(log_used), (u32)sizeof(log_text)), log_text);
	fflush(stdout);
}

static void __noreturn end_process(const char *kind, const char *fmt, va_list args)
{
	static u32 ending;

	lock_checks_off();
	if (atomic_xchg(&ending, 1))
		for (;;)
			pause(); /* another CPU is already reporting */
	printf("%s on CPU %u: ", kind, sim_cpu_id);
	vprintf(fmt, args);
	printf("\n");
	sim_dump();
	__sanitizer_print_stack_trace();
	_exit(1);
}

void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_process("panic", fmt, args);
}

void sim_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_process("failed", fmt, args);
}
