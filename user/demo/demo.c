/* SPDX-License-Identifier: MIT */
/*
 * The demonstration: resolves the same faults in each of the three ways, and prints the counters that show what
 * happened.
 *
 *	(a) one giant mapping, in which all threads fault at once	the mm-wide count and speculation do well
 *	(b) many small mappings, made and removed by every thread	per-VMA counts and locks do well
 *	(c) one thread maps and unmaps while the others fault		faults that need mmap_lock wait
 *	(d) the others' pages are swapped in from a slow disk		a fault that waits for the disk is retried
 *
 * For each workload and policy it prints the faults, the attempts and answers of each strategy, every reason for giving
 * up that is not zero, and the cost of a fault: the instructions of all CPUs, including those of the threads' own mmap
 * and munmap calls, divided by the number of faults. On a kernel without these interfaces it runs each workload once
 * and says that there is nothing to compare.
 *
 * A disturbed schedule produces more reasons, but distorts the costs. So the tool runs the program twice: `demo costs`
 * prints only the costs of an undisturbed run. They become the arguments of a second run under a fuzzed schedule, which
 * prints them in place of its own.
 */
#include "user/lib/faultline.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096UL
/* One page table: threads must not share page tables, which would distort the comparison. */
#define PART_PAGES 512UL
#define CHUNK_PAGES 16UL
#define RING 8
#define MAX_THREADS 8
#define CHURN_ROUNDS (PART_PAGES / 4)
#define SWAPPED_PAGES 128UL /* of each thread */
#define DISK "/sys/block/ram0/"

struct workload;

struct worker {
	pthread_t thread;
	const struct workload *load;
	int id;
	uint64_t changes; /* mappings made or removed */
};

static struct worker workers[MAX_THREADS];
static int nr_workers;
static pthread_barrier_t barrier;
static char *giant;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(size_t nr_pages)
{
	char *p =
		mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, nr_pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

/* Writes to each page, which faults it in. */
static void touch(char *p, size_t nr_pages)
{
	for (size_t i = 0; i < nr_pages; i++)
		*(volatile char *)(p + i * PAGE) = 1;
}

/* --- the workloads ---------------------------------------------------------------------------------------------- */

static void one_giant(struct worker *w)
{
	touch(giant + w->id * PART_PAGES * PAGE, PART_PAGES);
}

static void many_small(struct worker *w)
{
	char *ring[RING] = { NULL };

	for (unsigned int i = 0; i < PART_PAGES / CHUNK_PAGES; i++) {
		char **slot = &ring[i % RING];

		if (*slot)
			w->changes += munmap(*slot, (CHUNK_PAGES + 1) * PAGE) == 0;
		*slot = map(CHUNK_PAGES + 1);
		mprotect(*slot + CHUNK_PAGES * PAGE, PAGE, PROT_NONE); /* so that neighbours don't merge */
		w->changes++;
		touch(*slot, CHUNK_PAGES);
	}
	for (int i = 0; i < RING; i++)
		if (ring[i])
			munmap(ring[i], (CHUNK_PAGES + 1) * PAGE);
}

static void churn(struct worker *w)
{
	for (unsigned int i = 0; i < CHURN_ROUNDS; i++) {
		munmap(map(CHUNK_PAGES), CHUNK_PAGES * PAGE);
		w->changes += 2;
	}
}

static void churn_beside(struct worker *w)
{
	if (w->id == 0)
		churn(w);
	else
		touch(giant + w->id * PART_PAGES * PAGE, PART_PAGES);
}

/* Swaps the pages out while the disk is synchronous, so that none stays in memory, and then makes the disk slow. */
static void swap_all_out(void)
{
	write_text(DISK "mode", "sync");
	for (int id = 1; id < nr_workers; id++) {
		touch(giant + id * PART_PAGES * PAGE, SWAPPED_PAGES);
		if (madvise(giant + id * PART_PAGES * PAGE, SWAPPED_PAGES * PAGE, MADV_PAGEOUT))
			die("MADV_PAGEOUT");
	}
	write_text(DISK "mode", "async");
	write_text(DISK "latency_us", "50");
}

static void swap_in_beside(struct worker *w)
{
	if (w->id == 0)
		churn(w);
	else
		for (size_t i = 0; i < SWAPPED_PAGES; i++)
			(void)*(volatile char *)(giant + w->id * PART_PAGES * PAGE + i * PAGE);
}

struct workload {
	const char *title, *lesson;
	void (*run)(struct worker *);
	void (*prepare)(void); /* called before anything is counted, or NULL */
};

static const struct workload workloads[] = {
	{ "(a) One giant mapping: every thread faults in its own part of it.",
	  "All resolve at once and cost much the same. But each fault writes the one cache line of the VMA's lock, or\n"
	  "of mmap_lock; speculation writes no shared line (`make bench` counts them).",
	  one_giant, NULL },
	{ "(b) Many small mappings that come and go in every thread.",
	  "Counts and locks of a VMA don't care about other mappings; the mm-wide count sees every one of them change.",
	  many_small, NULL },
	{ "(c) One thread maps and unmaps while the others fault.",
	  "Nothing touches the mapping that is faulted, yet mmap_lock and the mm-wide count make its faults pay.",
	  churn_beside, NULL },
	{ "(d) One thread maps and unmaps while the others' pages come back from swap, off a disk that takes its time.",
	  "Each read brings neighbours into the swap cache, where speculation finds them; it leaves the reads\n"
	  "themselves to a lock. A fault that waits for the disk drops its lock and retries: with mmap_lock it and\n"
	  "the writer wait for each other twice, with the VMA's lock never.",
	  swap_in_beside, swap_all_out },
};

static void *work(void *arg)
{
	struct worker *w = arg;

	run_on_cpu(w->id % count_cpus());
	pthread_barrier_wait(&barrier);
	w->load->run(w);
	return NULL;
}

static void run(const struct workload *load)
{
	pthread_barrier_init(&barrier, NULL, nr_workers);
	for (int i = 0; i < nr_workers; i++) {
		workers[i] = (struct worker){ .id = i, .load = load };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("pthread_create");
	}
	for (int i = 0; i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
}

static char *area; /* contains `giant` */

static size_t area_pages(void)
{
	return (nr_workers + 1) * PART_PAGES;
}

static void make_area(const struct workload *load)
{
	area = map(area_pages());
	giant = (char *)(((uintptr_t)area + PART_PAGES * PAGE - 1) & -(PART_PAGES * PAGE));
	if (load->prepare)
		load->prepare();
}

/* --- the report ------------------------------------------------------------------------------------------------- */

static uint64_t total_changes(void)
{
	uint64_t total = 0;

	for (int i = 0; i < nr_workers; i++)
		total += workers[i].changes;
	return total;
}

/* Runs a workload. Returns the time that it took, by the TSC. */
static uint64_t timed_run(const struct workload *load)
{
	uint64_t start = read_tsc();

	run(load);
	return read_tsc() - start;
}

static bool starts(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Returns true for a counter that is a reason, as opposed to a total. */
static bool is_reason(const char *name)
{
	return starts(name, "spf_abort_") || starts(name, "spf_skip_") || starts(name, "vma_lock_abort_") ||
	       starts(name, "vma_lock_skip_") || starts(name, "vma_lock_retry_") || starts(name, "mmap_retry_") ||
	       strcmp(name, "vma_lock_miss") == 0 || strcmp(name, "vma_lock_detached") == 0;
}

static void print_reasons(const struct vmstat *before, const struct vmstat *after)
{
	for (unsigned int i = 0; i < after->nr; i++) {
		uint64_t n = vmstat_delta(before, after, after->row[i].name);

		if (n && is_reason(after->row[i].name))
			printf("  %-12s  %8llu  %s\n", "", (unsigned long long)n, after->row[i].name);
	}
}

static void print_pair(const struct vmstat *before, const struct vmstat *after, const char *attempts,
		       const char *answered)
{
	unsigned long long tried = vmstat_delta(before, after, attempts);

	if (tried)
		printf(" %7llu/%-7llu", (unsigned long long)vmstat_delta(before, after, answered), tried);
	else
		printf(" %7s %-7s", "-", "");
}

static void print_heading(const struct workload *load, const char *unit)
{
	printf("\n%s\n", load->title);
	printf("%s\n\n", load->lesson);
	printf("  %-12s  %8s  %-15s %-15s %-15s  %8s  %12s\n", "", "", "  answered/tried", "", "", "mappings", unit);
	printf("  %-12s  %8s  %-15s %-15s %-15s  %8s  %12s\n", "policy", "faults", "   speculation", "    VMA lock",
	       "   mmap_lock", "changed", "per fault");
	fflush(stdout);
}

static void print_costs(uint64_t cost)
{
	printf("  %8llu  %12llu\n", (unsigned long long)total_changes(), (unsigned long long)cost);
}

static void print_policy(const char *label, const struct vmstat *before, const struct vmstat *after, uint64_t cost)
{
	printf("  %-12s  %8llu ", label, (unsigned long long)vmstat_delta(before, after, "pgfault"));
	print_pair(before, after, "spf_attempts", "spf_answered");
	print_pair(before, after, "vma_lock_attempts", "vma_lock_answered");
	print_pair(before, after, "mmap_attempts", "mmap_answered");
	print_costs(cost);
	print_reasons(before, after);
	fflush(stdout);
}

struct setting {
	const char *label, *validation;
	enum policy policy;
};

static const struct setting settings[] = {
	{ "mmap", "vma", POLICY_MMAP },	      { "vma", "vma", POLICY_VMA },   { "spec, by VMA", "vma", POLICY_SPEC },
	{ "spec, by mm", "mm", POLICY_SPEC }, { "full", "vma", POLICY_FULL },
};
#define NR_SETTINGS (sizeof(settings) / sizeof(settings[0]))
#define NR_WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

/* Runs a workload with a setting. Returns its cost per fault; the counters are in *before and *after. */
static uint64_t measure(const struct workload *load, const struct setting *s, struct vmstat *before,
			struct vmstat *after)
{
	uint64_t ticks, faults;

	if (!set_validation(s->validation) || !set_policy(s->policy))
		die("setting the policy");
	make_area(load);
	vmstat_read(before);
	ticks = timed_run(load);
	vmstat_read(after);
	munmap(area, area_pages() * PAGE);
	set_policy(POLICY_DEFAULT);
	set_validation("vma");
	faults = vmstat_delta(before, after, "pgfault");
	return faults ? ticks / faults : 0;
}

/* `known`: the costs of an undisturbed run, one for each setting, or NULL. */
static void compare(const struct workload *load, char **known)
{
	static struct vmstat before, after;

	for (size_t i = 0; i < NR_SETTINGS; i++) {
		uint64_t cost = measure(load, &settings[i], &before, &after);

		print_policy(settings[i].label, &before, &after, known ? strtoull(known[i], NULL, 10) : cost);
	}
}

/* Returns true if the machine swaps to the disk that (d) makes slow. */
static bool swaps(void)
{
	char text[256] = "";
	int fd = open("/proc/swaps", O_RDONLY);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strstr(text, "/dev/ram0 ") != NULL;
}

static void print_all_costs(void)
{
	static struct vmstat before, after;

	for (size_t w = 0; w < NR_WORKLOADS; w++)
		for (size_t i = 0; i < NR_SETTINGS; i++)
			printf("%llu\n",
			       workloads[w].prepare && !swaps()
				       ? 0ULL
				       : (unsigned long long)measure(&workloads[w], &settings[i], &before, &after));
}

static void run_alone(const struct workload *load)
{
	struct rusage before, after;
	uint64_t ticks;
	long faults;

	make_area(load);
	getrusage(RUSAGE_SELF, &before);
	ticks = timed_run(load);
	getrusage(RUSAGE_SELF, &after);
	munmap(area, area_pages() * PAGE);
	faults = after.ru_minflt - before.ru_minflt;
	printf("  %-12s  %8ld  %47s", "this kernel", faults, "");
	print_costs(faults ? ticks / faults : 0);
}

/* Times a loop of n iterations of two instructions each. */
static uint64_t time_loop(uint64_t n)
{
	uint64_t start = read_tsc();

	__asm__ volatile("1: dec %0\n jnz 1b" : "+r"(n)::"cc");
	return read_tsc() - start;
}

/* Under QEMU's -icount the TSC counts instructions exactly, so two loops differ by exactly their instructions. */
static bool tsc_counts_instructions(void)
{
	int exact = 0;

	for (int i = 0; i < 6; i++)
		exact += time_loop(20000) - time_loop(10000) == 20000;
	return exact >= 3;
}

static void introduce(bool known)
{
	printf("One fault, resolved three ways: %d threads on %d CPU%s.\n\n", nr_workers, count_cpus(),
	       count_cpus() == 1 ? "" : "s");
	if (!on_faultline()) {
		printf("This kernel has no fault policies, so there is nothing to compare: each workload runs once.\n");
		return;
	}
	printf("  mmap    holds mmap_lock: the whole address space, shared\n"
	       "  vma     holds the lock of one VMA, else mmap\n"
	       "  spec    holds nothing, and writes only if a count says that nothing has changed, else mmap.\n"
	       "          The count is the VMA's (by VMA) or the address space's (by mm)\n"
	       "  full    speculation, else the VMA's lock, else mmap_lock\n\n"
	       "Below a policy stand the reasons for which attempts gave up or were not made (docs/reasons.md).\n");
	if (known)
		printf("Costs are those of an undisturbed run; counters those of a run in which the CPUs take\n"
		       "turns during faults.\n");
}

int main(int argc, char **argv)
{
	bool known = argc == 1 + (int)(NR_SETTINGS * NR_WORKLOADS), costs = argc == 2 && strcmp(argv[1], "costs") == 0;

	if (argc > 1 && (!on_faultline() || !(known || costs))) {
		fprintf(stderr, "usage: demo [costs]\n");
		return 2;
	}
	nr_workers = count_cpus() < 2 ? 2 : count_cpus() > MAX_THREADS ? MAX_THREADS : count_cpus();
	if (costs) {
		print_all_costs();
		return 0;
	}
	introduce(known);
	for (size_t i = 0; i < NR_WORKLOADS; i++) {
		if (workloads[i].prepare && !swaps())
			continue;
		print_heading(&workloads[i], known || tsc_counts_instructions() ? "instructions" : "TSC ticks");
		if (on_faultline())
			compare(&workloads[i], known ? argv + 1 + i * NR_SETTINGS : NULL);
		else
			run_alone(&workloads[i]);
	}
	return 0;
}
