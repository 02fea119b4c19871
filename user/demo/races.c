/* SPDX-License-Identifier: MIT */
/*
 * Forces, from user space, races that were found in real kernels (docs/races.md). Each script stops one thread where
 * the race needs it, lets others run into it, and checks that no write is lost, no stale page is read and no false
 * signal is raised. The checks hold under every policy. Arguments: the races to run; default: all. Needs four CPUs.
 */
#include "user/lib/race.h"

#include <sched.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define TABLE (512 * PAGE)

/* Returns the second page of a 2 MiB block: it is untouched, but its page table and anon_vma exist. */
static char *prepared(void)
{
	char *p = (char *)(((uintptr_t)map_island(1024, RW) + TABLE - 1) & -TABLE);

	poke(p, 1);
	return p + PAGE;
}

/* Steps without CATCH, for scripts in which even the thread's own private memory is write-protected. */
static long store(void *p)
{
	*(volatile char *)p = 1;
	return 0;
}

static long fork_and_wait(void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, &status, 0);
	(void)arg;
	return status;
}

/* Reads a byte repeatedly until told to stop, so that this CPU keeps a translation; returns what it reads then. */
struct watch {
	volatile char *p;
	volatile char seen; /* the value last read */
	volatile bool stop, started;
};

static long keep_reading(void *arg)
{
	struct watch *w = arg;

	do {
		w->seen = *w->p;
		w->started = true;
		relax();
	} while (!w->stop);
	return *w->p;
}

static void wait_started(struct watch *w)
{
	while (!w->started)
		relax();
}

/* Like actor_stop_at(), for a point that the actor should not reach: waits only 50 ms. The point stays armed. */
static bool comes_to(struct actor *a, const char *point, actor_step step, void *arg)
{
	race_command("arm %s tid=%d", point, a->tid);
	actor_do(a, step, arg);
	for (int i = 0; i < 50 && !race_stopped(point); i++)
		usleep(1000);
	return race_stopped(point);
}

/*
 * S1: fork has write-protected a page, but CPU 3 may still write to it through its TLB. CPU 2 sees it read-only; if it
 * copied the page now, the write of CPU 3 would be lost.
 */
struct writer {
	volatile char *p;
	volatile bool now, done, started, stop;
};

static long write_when_told(void *arg)
{
	struct writer *w = arg;

	w->p[1] = 1; /* the translation is writable, and in this CPU's TLB */
	w->started = true;
	while (!w->now && !w->stop)
		relax();
	w->p[2] = 2;
	w->done = true;
	return 0;
}

static void s1(struct stage *s)
{
	struct actor *forker = &s->actor[0], *copier = &s->actor[1], *writer = &s->actor[2];
	struct writer *w = (struct writer *)s->value;
	char *p = prepared();

	w->p = p;
	actor_do(writer, write_when_told, w);
	while (!w->started)
		relax();
	if (!actor_stop_at(forker, "fork_before_flush", fork_and_wait, NULL)) {
		CHECK_THAT("fork stops before its flush", false);
		return;
	}
	/* The copier must not copy the page before the flush. If it does, it stops between copy and new entry. */
	s->flag[0] = comes_to(copier, "cow_before_flush", store, p + 3);
	w->now = true;
	for (int i = 0; i < 100 && !w->done; i++) /* through the TLB or, if its entry was evicted, after the fork */
		usleep(1000);
	release("cow_before_flush");
	release("fork_before_flush");
	CHECK_EQ(actor_finish(forker), 0);
	actor_finish(copier);
	actor_finish(writer);
	CHECK_THAT("no thread copied the page before the flush", !s->flag[0]);
	CHECK_THAT("no write was lost", p[1] == 1 && p[2] == 2 && p[3] == 1);
}

/* V1: as S1, but before fork has copied the whole VMA. The memory lies below all else, so that fork copies it first. */
static void v1(struct stage *s)
{
	struct actor *forker = &s->actor[0], *victim = &s->actor[1];
	char *p = mmap((void *)0x100000, 0x2f0000, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), *q = p + 0x200000;

	MUST(p == (void *)0x100000);
	poke(p, 1), poke(q, 1); /* q has its own page table: fork holds only the lock of p's table */
	if (!actor_stop_at(forker, "fork_after_wrprotect", fork_and_wait, NULL)) {
		CHECK_THAT("fork stops after it has write-protected an entry", false);
		return;
	}
	actor_do(victim, store, q + 5 * PAGE);
	usleep(50000);
	s->flag[0] = actor_busy(victim);
	release("fork_after_wrprotect");
	CHECK_EQ(actor_finish(forker), 0);
	actor_finish(victim);
	CHECK_THAT("a fault in a VMA that fork copies waits for the fork", s->flag[0]);
	CHECK(p[0] == 1 && q[5 * PAGE] == 1);
	munmap(p, 0x2f0000);
}

/* S4: the page table is freed between the walk and the lock. */
static long unmap_two_tables(void *p)
{
	return munmap(p, 2 * TABLE);
}

static void tables_vanish(struct stage *s, const char *point)
{
	struct actor *victim = &s->actor[0];
	char *p = (char *)(((uintptr_t)map_island(4 * 512, RW) + TABLE - 1) & -TABLE);
	char *q;

	poke(p, 1);
	if (!actor_stop_at(victim, point, step_write, p + PAGE)) {
		printf("     not reached under this policy: %s\n", point);
		race_command("disarm");
		CHECK_EQ(actor_finish(victim), 0);
		return;
	}
	CHECK_EQ(unmap_two_tables(p), 0);
	q = mmap(p, 2 * TABLE, RW, ANON | MAP_FIXED, -1, 0);
	MUST(q == p);
	CHECK(release(point));
	CHECK_THAT("the fault finds the new mapping", actor_finish(victim) == 0);
	CHECK_THAT("and its page is the new mapping's", peek(p + PAGE) == 1 && peek(p) == 0);
}

/* K4: two threads fault on one page. */
static void k4(struct stage *s)
{
	struct actor *slow = &s->actor[0];
	char *p = prepared();

	CHECK(actor_stop_at(slow, "anon_page_ready", step_write, p));
	p[1] = 7;
	CHECK(release("anon_page_ready"));
	CHECK_EQ(actor_finish(slow), 0);
	CHECK_THAT("both writes are in one page", p[0] == 1 && p[1] == 7);
}

/* K5: after copy-on-write, a CPU that has read the old page sees the new one. */
struct sharer {
	char *p;
	int ready[2];
	pid_t pid;
};

/* The child keeps the page shared, so that a write copies it; at the end it checks that it still has the old page. */
static long start_sharer(void *arg)
{
	struct sharer *sh = arg;
	pid_t pid = fork(); /* not stored directly in *sh, which the child shares */
	char c;

	if (pid == 0)
		_exit(read(sh->ready[0], &c, 1) != 1 || peek(sh->p) != 1);
	sh->pid = pid;
	return pid;
}

static long store_7(void *p)
{
	*(volatile char *)p = 7;
	return 0;
}

/* One actor keeps reading a byte of the page, one copies the page by a write, one writes to that byte. */
static void k5(struct stage *s)
{
	struct actor *reader = &s->actor[0], *copier = &s->actor[1], *late = &s->actor[2];
	struct watch *w = (struct watch *)s->value;
	struct sharer sh = { .p = prepared() };
	int status;

	poke(sh.p, 1);
	MUST(pipe(sh.ready) == 0);
	actor_do(reader, start_sharer, &sh);
	MUST(actor_finish(reader) > 0);
	w->p = sh.p + 1;
	actor_do(reader, keep_reading, w);
	wait_started(w);
	CHECK(actor_stop_at(copier, "cow_before_flush", store, sh.p + 2));
	actor_do(late, store_7, sh.p + 1);
	usleep(50000);
	s->flag[0] = actor_busy(late) || w->seen == 7;
	CHECK(release("cow_before_flush"));
	CHECK_THAT("no thread can write to the copy while others read the old page", s->flag[0]);
	CHECK(actor_finish(copier) == 0 && actor_finish(late) == 0);
	w->stop = true;
	CHECK_THAT("the reader sees what was written to the copy", actor_finish(reader) == 7);
	CHECK(sh.p[0] == 1 && sh.p[2] == 1);
	MUST(write(sh.ready[1], "x", 1) == 1);
	CHECK_THAT("the child still has the old page", waitpid(sh.pid, &status, 0) == sh.pid && status == 0);
	close(sh.ready[0]), close(sh.ready[1]);
}

/* K9: two MADV_DONTNEED at once: the second finds nothing mapped, but must not return before the first has flushed. */
static void k9(struct stage *s)
{
	struct actor *first = &s->actor[0], *reader = &s->actor[1], *second = &s->actor[2];
	struct watch *w = (struct watch *)s->value;
	char *p = prepared();

	poke(p, 5);
	w->p = p;
	actor_do(reader, keep_reading, w);
	wait_started(w);
	CHECK(actor_stop_at(first, "zap_before_flush", step_dontneed, p));
	actor_do(second, step_dontneed, p);
	for (int i = 0; i < 100 && actor_busy(second); i++)
		usleep(1000);
	if (!actor_busy(second)) {
		w->stop = true;
		CHECK_THAT("the call that has returned has flushed", actor_finish(reader) == 0);
	}
	CHECK(release("zap_before_flush"));
	CHECK(actor_finish(first) == 0 && actor_finish(second) == 0);
	if (!w->stop) {
		w->stop = true;
		CHECK_THAT("the page is gone for the reader", actor_finish(reader) == 0);
	}
}

/* S8: mremap moves pages while one fault fills the source and another the target. */
static long move(void *arg)
{
	char **p = arg;

	return mremap(p[0], 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p[1]) == p[1] ? 0 : -1;
}

static void s8(struct stage *s)
{
	struct actor *mover = &s->actor[0], *source = &s->actor[1], *target = &s->actor[2];
	char **p = (char **)s->value;

	p[0] = map_island(4, RW), p[1] = map_island(4, RW);
	poke(p[0], 11), poke(p[0] + PAGE, 12), poke(p[1] + 3 * PAGE, 99);
	CHECK(actor_stop_at(mover, "mremap_before_move", move, p));
	actor_do(source, step_write, p[0] + 2 * PAGE);
	actor_do(target, step_write, p[1] + 3 * PAGE + 1);
	usleep(50000);
	CHECK(release("mremap_before_move"));
	CHECK_EQ(actor_finish(mover), 0);
	CHECK_THAT("a fault in the source finds nothing, or came before the move",
		   actor_finish(source) == SIGSEGV || peek(p[1] + 2 * PAGE) == 1);
	CHECK_EQ(actor_finish(target), 0);
	CHECK_THAT("the pages have moved", peek(p[1]) == 11 && peek(p[1] + PAGE) == 12);
	CHECK_THAT("the target's old page is gone", peek(p[1] + 3 * PAGE) == 0 && peek(p[1] + 3 * PAGE + 1) == 1);
}

/* S12: the mapping is removed between the last check and the lock; its page table stays. */
static void s12(struct stage *s)
{
	struct actor *victim = &s->actor[0];
	char *p = prepared();
	unsigned char there;

	if (!actor_stop_at(victim, "spec_before_ptl", step_write, p)) {
		printf("     not reached under this policy: spec_before_ptl\n");
		race_command("disarm");
		return;
	}
	CHECK_EQ(munmap(p, PAGE), 0);
	CHECK(release("spec_before_ptl"));
	CHECK_THAT("no page is mapped where nothing is", actor_finish(victim) == SIGSEGV);
	CHECK_ERRNO(mincore(p, PAGE, &there), ENOMEM);
}

static void s4(struct stage *s)
{
	tables_vanish(s, "spec_after_walk");
}

/* S15: an access that mprotect is about to permit must not raise SIGSEGV. */
static void permitted_meanwhile(struct stage *s)
{
	struct actor *writer = &s->actor[0], *victim = &s->actor[1];
	char *p = prepared();

	MUST(mprotect(p, PAGE, PROT_READ) == 0);
	CHECK(actor_stop_at(writer, "write_locked", step_protect_write, p));
	actor_do(victim, step_write, p);
	usleep(50000);
	CHECK_THAT("the fault waits", actor_busy(victim));
	CHECK(release("write_locked"));
	CHECK_EQ(actor_finish(writer), 0);
	CHECK_THAT("and is then permitted", actor_finish(victim) == 0);
}

/* Speculation reads the rights in the short time in which they do not suffice. They suffice before and afterwards. */
static void forbidden_for_a_moment(struct stage *s)
{
	struct actor *victim = &s->actor[0];
	char *p = map_island(2, RW); /* the whole VMA changes, so that it is not split */

	poke(p + PAGE, 1);
	if (!actor_stop_at(victim, "spec_after_sample", step_write, p)) {
		printf("     not reached under this policy: spec_after_sample\n");
		race_command("disarm");
		return;
	}
	CHECK_EQ(mprotect(p, 2 * PAGE, PROT_NONE), 0);
	CHECK(race_command("arm spec_after_snapshot tid=%d", victim->tid) > 0);
	CHECK(release("spec_after_sample"));
	while (!race_stopped("spec_after_snapshot"))
		usleep(1000);
	CHECK_EQ(mprotect(p, 2 * PAGE, RW), 0);
	CHECK(release("spec_after_snapshot"));
	CHECK_THAT("no signal", actor_finish(victim) == 0 && p[0] == 1);
}

static void s15(struct stage *s)
{
	permitted_meanwhile(s);
	forbidden_for_a_moment(s);
}

/* V4, V5: the stack grows while another thread faults in it. */
static void v4(struct stage *s)
{
	struct actor *grower = &s->actor[0], *victim = &s->actor[1];
	char *base = mmap(NULL, 1024 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *p;

	MUST(base != MAP_FAILED && munmap(base, 1024 * PAGE) == 0);
	p = mmap(base + 1000 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(p != MAP_FAILED);
	poke(p + 3 * PAGE, 1);
	CHECK(actor_stop_at(grower, "stack_before_grow", step_write, p - 5 * PAGE));
	actor_do(victim, step_write, p);
	usleep(50000);
	s->flag[0] = actor_busy(victim);
	CHECK(release("stack_before_grow"));
	CHECK(actor_finish(grower) == 0 && actor_finish(victim) == 0);
	CHECK_THAT("a fault in the stack waits while it grows", s->flag[0]);
	CHECK(peek(p - 5 * PAGE) == 1 && peek(p) == 1 && peek(p - 2 * PAGE) == 0);
}

/* V3: a writer that splits a shared mapping waits for its reader. Truncation must then still find all mappings. */
static long protect_two(void *p)
{
	return mprotect(p, 2 * PAGE, PROT_READ);
}

static void v3(struct stage *s)
{
	struct actor *reader = &s->actor[0], *writer = &s->actor[1];
	int fd = memfd_create("v3", 0);
	char *p, *q;

	MUST(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
	p = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	poke(p, 1);
	if (!actor_stop_at(reader, "vma_locked", step_write, p + 4 * PAGE)) {
		printf("     not reached under this policy: vma_locked\n");
		race_command("disarm");
		actor_finish(reader);
		return;
	}
	actor_do(writer, protect_two, p + 2 * PAGE);
	usleep(50000);
	CHECK_THAT("the writer waits for the reader", actor_busy(writer));
	CHECK(release("vma_locked"));
	CHECK(actor_finish(reader) == 0 && actor_finish(writer) == 0);
	q = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK_THAT("the write is visible", q != MAP_FAILED && peek(q + 4 * PAGE) == 1);
	CHECK_EQ(ftruncate(fd, 0), 0);
	CHECK_THAT("truncation found the VMAs that map the file",
		   CATCH(peek(p + 4 * PAGE)) == SIGBUS && CATCH(peek(q)) == SIGBUS);
	close(fd);
}

/*
 * V6: between the look-up and the lock, mremap moves the pages away and the VMA leaves its anon_vma. The check of the
 * reverse map that runs after this program would find a page that was mapped with the old anon_vma.
 */
static void v6(struct stage *s)
{
	struct actor *victim = &s->actor[0];
	char *p = map_island(4, RW), *moved;

	poke(p + 3 * PAGE, 7);
	if (!actor_stop_at(victim, "vma_after_find", step_write, p)) {
		printf("     not reached under this policy: vma_after_find\n");
		race_command("disarm");
		actor_finish(victim);
		return;
	}
	moved = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */, NULL);
	MUST(moved != MAP_FAILED);
	CHECK(release("vma_after_find"));
	CHECK_EQ(actor_finish(victim), 0);
	CHECK_THAT("the source is there, empty, and can be used", peek(p) == 1 && peek(p + 3 * PAGE) == 0);
	CHECK_THAT("the pages have moved", peek(moved) == 0 && peek(moved + 3 * PAGE) == 7);
}

/* V12: the VMA that was found is removed, and another takes its place: the look-up must start again from the root. */
static void v12(struct stage *s)
{
	struct actor *victim = &s->actor[0];
	char *p = map_island(1, RW);

	if (!actor_stop_at(victim, "vma_after_find", step_write, p)) {
		printf("     not reached under this policy: vma_after_find\n");
		race_command("disarm");
		CHECK_EQ(actor_finish(victim), 0);
		return;
	}
	CHECK_EQ(munmap(p, PAGE), 0);
	CHECK(mmap(p, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p);
	CHECK(release("vma_after_find"));
	CHECK_THAT("the fault lands in the new mapping", actor_finish(victim) == 0 && p[0] == 1);
}

/* V14: a writer is killed while it waits for the readers of a VMA. */

static int protect(void *page)
{
	syscall(SYS_mprotect, page, PAGE, PROT_READ);
	return 0;
}

/* Returns true if the process ends within a minute: on a loaded machine it may take that long. */
static bool ends(pid_t pid)
{
	for (int i = 0; i < 60000; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(1000);
	}
	return false;
}

static void v14(struct stage *s)
{
	char *p = prepared(), *stack = mmap(NULL, ACTOR_STACK, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct actor *reader = &s->actor[0];
	pid_t writer;

	MUST(stack != MAP_FAILED);
	memset(stack, 0, ACTOR_STACK);
	if (!actor_stop_at(reader, "vma_locked", step_write, p)) {
		printf("     not reached under this policy: vma_locked\n");
		race_command("disarm");
		return;
	}
	writer = clone(protect, stack + ACTOR_STACK, CLONE_VM | SIGCHLD, p + 4 * PAGE);
	MUST(writer > 0);
	usleep(50000);
	kill(writer, SIGKILL);
	CHECK_THAT("a writer that waits for a reader can be killed", ends(writer));
	CHECK(release("vma_locked"));
	CHECK_EQ(actor_finish(reader), 0);
	vmstat_read(&s->before);
	actor_do(reader, step_write, p + PAGE);
	CHECK_EQ(actor_finish(reader), 0);
	CHECK_THAT("the next fault takes the VMA's lock", counted(s, "vma_lock_abort_write_locked") == 0);
	munmap(stack, ACTOR_STACK);
}

/* V15: a fault that holds a VMA needs an anon_vma, and mmap_lock for it, while a writer waits for that VMA. */
static void v15(struct stage *s)
{
	struct actor *fault = &s->actor[0], *writer = &s->actor[1];
	char *p = map_island(2, RW);

	if (!actor_stop_at(fault, "vma_locked", step_write, p)) {
		printf("     not reached under this policy: vma_locked\n");
		race_command("disarm");
		CHECK_EQ(actor_finish(fault), 0);
		return;
	}
	actor_do(writer, step_protect_none, p + PAGE);
	usleep(50000);
	CHECK_THAT("the writer waits for the reader", actor_busy(writer));
	CHECK(release("vma_locked"));
	CHECK_THAT("neither waits forever", actor_finish(fault) == 0 && actor_finish(writer) == 0);
	CHECK_EQ(p[0], 1);
}

/* U1: the kernel writes to user memory that is not present while it holds locks: a read into a page just dropped. */
static void u1(struct stage *s)
{
	struct actor *dropper = &s->actor[0];
	int fds[2], bad = 0;
	char *p = prepared();

	MUST(pipe(fds) == 0);
	for (int i = 0; i < 200; i++) {
		MUST(write(fds[1], "abcdefgh", 8) == 8);
		actor_do(dropper, step_dontneed, p);
		bad += read(fds[0], p, 8) != 8;
		actor_finish(dropper);
		bad += p[0] != 'a' && p[0] != 0;
		bad += syscall(SYS_futex, p + 64, 0 /* FUTEX_WAIT */, 1, NULL) != -1 || errno != EAGAIN;
		bad += syscall(SYS_write, fds[1], p, 8) != 8 || read(fds[0], p + 8, 8) != 8;
	}
	CHECK_EQ(bad, 0);
	close(fds[0]), close(fds[1]);
}

static const struct race {
	const char *id, *what;
	void (*script)(struct stage *);
	int actors;
} races[] = {
	{ "S1", "no page is copied between fork's write-protection and its flush", s1, 3 },
	{ "S4", "a page table is freed between the walk and the lock", s4, 1 },
	{ "S8", "mremap moves pages that others fault on", s8, 3 },
	{ "S12", "the mapping is replaced before the commit", s12, 1 },
	{ "S15", "no signal while the rights are changing", s15, 2 },
	{ "V1", "no fault in a VMA that fork is copying", v1, 2 },
	{ "V3", "a writer waits for readers of shared memory", v3, 2 },
	{ "V4", "a stack grows under its readers", v4, 2 },
	{ "V6", "the VMA leaves its anon_vma before it is locked", v6, 1 },
	{ "V12", "the look-up starts again from the root", v12, 1 },
	{ "V14", "a killed writer does not keep readers out", v14, 1 },
	{ "V15", "a reader never waits for mmap_lock", v15, 2 },
	{ "K4", "two faults on one page", k4, 1 },
	{ "K5", "no thread reads the old page once the copy is written", k5, 3 },
	{ "K9", "two MADV_DONTNEED at once", k9, 3 },
	{ "U1", "user memory that is unmapped during a system call", u1, 1 },
};

int main(int argc, char **argv)
{
	if (!on_faultline()) {
		printf("this kernel has no race points: nothing to force\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++) {
		if (!is_named(races[i].id, argc, argv))
			continue;
		printf("== %s: %s\n", races[i].id, races[i].what);
		fflush(stdout);
		CHECK_THAT("there are enough CPUs for the script", perform(races[i].script, races[i].actors));
	}
	return check_done();
}
