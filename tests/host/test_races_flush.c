/* SPDX-License-Identifier: MIT */
/*
 * Races of calls that unmap memory or remove rights with a CPU that still has the translation. CPU 2 makes the call.
 * CPU 3 (the puppet) has used the page before, and has interrupts disabled where it matters.
 */
#include "race_stage.h"

#include "mm/cache/mapping.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/reclaim/oom_reap.h"
#include "mm/vma/pkey.h"
#include "mm/vma/vma.h"

#define OLD_VALUE 7
#define ELSEWHERE 0x200000000000UL

static vaddr_t where; /* the second of four pages; it and those behind it hold OLD_VALUE, OLD_VALUE + 1, ... */
static struct mapping *mapping;
static int key;

static long call_dontneed(void)
{
	return mm_madvise(mm, where, PAGES(1), MADV_DONTNEED);
}

static long call_munmap(void)
{
	return mm_munmap(mm, where, PAGES(1));
}

static long call_map_over(void)
{
	map_at(mm, where, 1, PROT_READ, ANON);
	return 0;
}

static long call_shrink(void)
{
	return mm_mremap(mm, where - PAGES(1), PAGES(4), PAGES(1), 0, 0) < 0;
}

static long call_move_over(void)
{
	return mm_mremap(mm, addr, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_FIXED, where) < 0;
}

static long call_move(void)
{
	return mm_mremap(mm, where, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_FIXED, ELSEWHERE) < 0;
}

static long call_move_pages_only(void)
{
	return mm_mremap(mm, where, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0) < 0;
}

static long call_remove(void)
{
	return mm_madvise(mm, where, PAGES(1), MADV_REMOVE);
}

static long call_truncate(void)
{
	return mapping_truncate(mapping, 0);
}

static long call_reap(void)
{
	return mm_reap(mm) ? 0 : -1;
}

/* The page has been freed lazily (MADV_FREE). */
static long call_drop_lazy(void)
{
	return mm_drop_lazy(mm) == 1 ? 0 : -1;
}

static long call_fork(void)
{
	long error;

	child = test_mm(POLICY_DEFAULT);
	error = mm_fork(child, mm);
	test_mm_put(child);
	return error;
}

static long protect(u64 prot, int with_key)
{
	return mm_mprotect(mm, where, PAGES(1), prot, with_key);
}

static long call_protect_rw(void)
{
	return protect(RW, -1);
}

static long call_protect_rx(void)
{
	return protect(PROT_READ | PROT_EXEC, -1);
}

static long call_protect_read(void)
{
	return protect(PROT_READ, -1);
}

static long call_protect_none(void)
{
	return protect(PROT_NONE, -1);
}

static long call_protect_with_key(void)
{
	return protect(RW | PROT_EXEC, key);
}

static void act_call(void *call)
{
	sim_use_mm(mm);
	other.result = ((long (*)(void))call)();
	sim_leave_mm();
}

/* Starts the puppet, which gets a translation that permits everything. */
static void begin_call(const char *name, u64 flags)
{
	klog("-- %s --", name);
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	where = map(mm, 4, RW | PROT_EXEC, flags) + PAGES(1);
	mapping = sim_vma(mm, where)->mapping;
	puppet_start();
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(puppet_do(true, true, where + PAGES(i), OLD_VALUE + i), FAULT_DONE);
	CHECK_EQ(puppet_run(exec_with_faults, where), FAULT_DONE);
}

static void end_call(void)
{
	puppet_stop();
	end();
}

static bool puppet_sees_old_value(void)
{
	return puppet_do(false, false, where, 0) && puppet.value == OLD_VALUE;
}

/* ---- Pages that are freed ---------------------------------------------------------------------------------------- */

#define SHARED (MAP_SHARED | MAP_ANONYMOUS)

static const struct {
	const char *name;
	u64 flags;
	long (*call)(void);
} givers[] = {
	{ "MADV_DONTNEED", ANON, call_dontneed },
	{ "munmap", ANON, call_munmap },
	{ "mmap over it", ANON, call_map_over },
	{ "mremap to less", ANON, call_shrink },
	{ "mremap onto it", ANON, call_move_over },
	{ "the OOM reaper", ANON, call_reap },
	{ "MADV_FREE, when memory is short", ANON, call_drop_lazy },
	{ "MADV_REMOVE", SHARED, call_remove },
	{ "truncation", SHARED, call_truncate },
};

/* The call waits for CPU 3 to respond; until then, the page must not be reused. */
TEST(p1_page_outlives_its_translations, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(givers); i++) {
		begin_call(givers[i].name, givers[i].flags);
		if (givers[i].call == call_drop_lazy)
			CHECK_EQ(mm_madvise(mm, where, PAGES(1), MADV_FREE), 0);
		CHECK_EQ(puppet_do(false, true, where, 0), FAULT_DONE);
		puppet_deafen();
		stop_at(RACE_shootdown_sent, 2);
		sim_start(2, act_call, givers[i].call);
		let_others_run_until(race_stopped_at(RACE_shootdown_sent) || !sim_running(2),
				     "the call does not come to its flush");
		CHECK(sim_running(2));
		CHECK(puppet_sees_old_value());
		let_go(RACE_shootdown_sent);
		puppet_listen();
		sim_join(2);
		CHECK_EQ(other.result, 0);
		CHECK(!puppet_sees_old_value());
		end_call();
	}
}

/* ---- Rights that are removed ------------------------------------------------------------------------------------- */

enum { READ = 1 << ACCESS_READ, WRITE = 1 << ACCESS_WRITE, EXEC = 1 << ACCESS_EXEC };

static const struct {
	const char *name;
	unsigned had; /* what CPU 3 can do beforehand */
	long (*call)(void);
	unsigned lost; /* ... and cannot do afterwards without a fault */
} takers[] = {
	{ "mprotect to read and write", READ | WRITE | EXEC, call_protect_rw, EXEC },
	{ "mprotect to read and execute", READ | WRITE | EXEC, call_protect_rx, WRITE },
	{ "mprotect to read", READ | WRITE | EXEC, call_protect_read, WRITE | EXEC },
	{ "mprotect of code to read", READ | EXEC, call_protect_read, EXEC },
	{ "mprotect to nothing", READ | WRITE | EXEC, call_protect_none, READ | WRITE | EXEC },
	{ "mprotect of what is read to nothing", READ, call_protect_none, READ },
	{ "pkey_mprotect", READ | WRITE | EXEC, call_protect_with_key, READ | WRITE },
	{ "fork", READ | WRITE | EXEC, call_fork, WRITE },
	{ "mremap to elsewhere", READ | WRITE | EXEC, call_move, READ | WRITE | EXEC },
	{ "mremap of the pages alone", READ | WRITE | EXEC, call_move_pages_only, READ | WRITE | EXEC },
	{ "munmap", READ | WRITE | EXEC, call_munmap, READ | WRITE | EXEC },
	{ "MADV_DONTNEED", READ | WRITE | EXEC, call_dontneed, READ | WRITE | EXEC },
};

static void close_key(void)
{
	keys_write(KEY_NO_ACCESS << 2 * key);
}

static void begin_taking(const char *name, unsigned had)
{
	begin_call(name, ANON);
	mmap_write_lock(mm);
	key = mm_key_alloc(mm, 0);
	mmap_write_unlock(mm);
	CHECK(key > 0);
	puppet_run(close_key, 0); /* which no page has yet */
	if (had == (READ | EXEC))
		CHECK_EQ(call_protect_rx(), 0);
	else if (had == READ)
		CHECK_EQ(call_protect_read(), 0);
}

static bool puppet_can(enum fault_access access)
{
	if (access == ACCESS_EXEC)
		return puppet_run(try_exec, where);
	return puppet_do(access == ACCESS_WRITE, false, where, OLD_VALUE);
}

/* One access per call: a refused access makes the CPU drop the translation that the next access would have used. */
TEST(p4_lost_rights_are_flushed, 4)
{
	sim_have_keys();
	for (unsigned i = 0; i < ARRAY_SIZE(takers); i++)
		for (enum fault_access access = ACCESS_READ; access <= ACCESS_EXEC; access++) {
			if (!(takers[i].lost & 1u << access))
				continue;
			begin_taking(takers[i].name, takers[i].had);
			CHECK(puppet_can(access));
			sim_start(2, act_call, takers[i].call);
			sim_join(2);
			CHECK_EQ(other.result, 0);
			CHECK(!puppet_can(access));
			end_call();
		}
}
