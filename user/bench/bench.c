/* SPDX-License-Identifier: MIT */
/*
 * Measures the cost of page faults by the TSC (which under QEMU's -icount counts the instructions of all CPUs
 * together).
 *
 *	bench rows			one operation in each row, 2048 times, while a second thread sleeps
 *	bench growth PLACE N		N threads on N CPUs fault at once
 *	bench startup			a program starts and ends: how many of its faults cached pages resolve
 *	bench lines PLACE N		like growth, between two marks, for the QEMU plugin that watches cache lines
 *
 * PLACE is `one` VMA for all threads, an `own` VMA for each, or `writer`: own VMAs, and the N-th thread calls mmap and
 * munmap instead of faulting. The policy is the system's, unless a last argument (mmap, vma, spec or full) selects
 * another one for this process.
 *
 * Prints `row NAME MEDIAN key=value…` (the mean for cached-file and swap-out) and `growth MEAN key=value…`. The keys
 * are `attempts` and `answered` of the policy's first strategy, and every reason that is not zero. The cost of the
 * measurement itself is subtracted. Also runs on Linux, without the keys.
 */
#include "user/lib/disk_settings.h"
#include "user/lib/faultline.h"
#include "user/lib/futex.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#define PAGE 4096UL
/* The range of one page table: each thread's part is aligned to it, so that threads share no table. */
#define TABLE (512 * PAGE)
#define NR 2048
#define MAX_THREADS 64
#define PART_TABLES 2UL
#define WRITER_ROUNDS 300
#define MARK ((volatile uint64_t *)0x5ca1ab1e000)

#define MUST(what)                                                                                                     \
	do {                                                                                                           \
		if (!(what)) {                                                                                         \
			fprintf(stderr, "bench: %s: %s\n", #what, strerror(errno));                                    \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static struct vmstat before, after;
static uint64_t sample[NR];
static uint64_t overhead; /* the cost of reading the TSC twice */

/* --- measuring -------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(void)
{
	qsort(sample, NR, sizeof(sample[0]), by_value);
	return sample[NR / 2];
}

/* Times a statement NR times, with `i` as the index. It should compile to little more than the operation. */
#define MEASURE(statement)                                                                                             \
	do {                                                                                                           \
		for (long i = 0; i < NR; i++) {                                                                        \
			uint64_t start = read_tsc();                                                                   \
			statement;                                                                                     \
			sample[i] = read_tsc() - start;                                                                \
		}                                                                                                      \
	} while (0)

static void calibrate(void)
{
	MEASURE((void)0);
	overhead = median();
}

static const char *current_policy(void)
{
	static char name[16];
	int policy = prctl(PR_GET_FAULT_POLICY, 0, 0, 0, 0), fd, n;

	if (policy > 0)
		return policy_name(policy);
	fd = open("/proc/sys/vm/fault_policy", O_RDONLY);
	n = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
	if (fd >= 0)
		close(fd);
	name[n > 0 ? n : 0] = 0;
	name[strcspn(name, "\n")] = 0;
	return name;
}

/* Returns the prefix of the counters of the strategy that the policy tries first. */
static const char *first_strategy(void)
{
	const char *policy = current_policy();

	if (strcmp(policy, "mmap") == 0)
		return "mmap";
	return strcmp(policy, "vma") == 0 ? "vma_lock" : "spf";
}

static bool is_reason(const char *name)
{
	static const char *const prefixes[] = { "spf_abort_",	     "spf_skip_",	"vma_lock_abort_",
						"vma_lock_skip_",    "vma_lock_retry_", "vma_lock_miss",
						"vma_lock_detached", "mmap_retry_" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void print_counter(const char *key, const char *what)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%s", first_strategy(), what);
	printf(" %s=%llu", key, (unsigned long long)vmstat_delta(&before, &after, name));
}

/* Prints the rest of a line: the counters that changed between `before` and `after`. */
static void print_keys(void)
{
	if (on_faultline()) {
		print_counter("attempts", "attempts");
		print_counter("answered", "answered");
		for (unsigned int i = 0; i < after.nr; i++) {
			uint64_t n = vmstat_delta(&before, &after, after.row[i].name);

			if (n && is_reason(after.row[i].name))
				printf(" %s=%llu", after.row[i].name, (unsigned long long)n);
		}
	}
	printf("\n");
	fflush(stdout);
}

static void print_figure(const char *name, uint64_t figure)
{
	vmstat_read(&after);
	printf("row %s %llu", name, (unsigned long long)figure);
	print_keys();
}

static void print_row(const char *name)
{
	uint64_t m = median();

	print_figure(name, m > overhead ? m - overhead : 0);
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

static char *map(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	MUST(p != MAP_FAILED);
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

static inline void write_page(char *p, long i)
{
	*(volatile char *)(p + i * PAGE) = 1;
}

static inline void read_page(char *p, long i)
{
	(void)*(volatile char *)(p + i * PAGE);
}

static inline long syscall0(long nr)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(nr) : "rcx", "r11", "memory");
	return result;
}

static void null_syscall(void)
{
	vmstat_read(&before);
	MEASURE(syscall0(SYS_getppid));
	print_row("null-syscall");
}

static void first_touches(void)
{
	char *p = map(NR * PAGE, MAP_PRIVATE), *q = map(NR * PAGE, MAP_PRIVATE);

	vmstat_read(&before);
	MEASURE(write_page(p, i));
	print_row("first-write");
	vmstat_read(&before);
	MEASURE(read_page(q, i));
	print_row("first-read");
	vmstat_read(&before);
	MEASURE(write_page(q, i));
	print_row("write-after-read");
	munmap(p, NR * PAGE);
	munmap(q, NR * PAGE);
}

static void fork_rows(void)
{
	char *p = map(NR * PAGE, MAP_PRIVATE);
	pid_t child;

	for (long i = 0; i < NR; i++)
		write_page(p, i);
	child = fork();
	MUST(child >= 0);
	while (child == 0)
		pause();
	vmstat_read(&before);
	MEASURE(write_page(p, i));
	print_row("fork-copy");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	child = fork();
	MUST(child >= 0);
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	vmstat_read(&before);
	MEASURE(write_page(p, i));
	print_row("fork-reuse");
	munmap(p, NR * PAGE);
}

/* Returns a file of NR pages, all of them in the page cache. */
static int cached_file(void)
{
	static const char page[PAGE];
	int fd = syscall(SYS_memfd_create, "bench", 0);

	MUST(fd >= 0);
	for (long i = 0; i < NR; i++)
		MUST(write(fd, page, PAGE) == (ssize_t)PAGE);
	return fd;
}

static char *map_fd(int fd, int flags)
{
	char *p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* Prints the mean, because one fault maps many pages, which then cost nothing to read. */
static void read_cached(int fd)
{
	char *p = map_fd(fd, MAP_PRIVATE);
	uint64_t start;

	vmstat_read(&before);
	start = read_tsc();
	for (long i = 0; i < NR; i++)
		read_page(p, i);
	print_figure("cached-file", (read_tsc() - start + NR / 2) / NR);
	munmap(p, NR * PAGE);
}

static void files(void)
{
	int empty = syscall(SYS_memfd_create, "bench", 0), cached = cached_file();
	char *p;

	MUST(empty >= 0 && ftruncate(empty, NR * PAGE) == 0);
	p = map_fd(empty, MAP_SHARED);
	vmstat_read(&before);
	MEASURE(write_page(p, i));
	print_row("shared-memfd");
	munmap(p, NR * PAGE);
	p = map_fd(cached, MAP_PRIVATE);
	vmstat_read(&before);
	MEASURE(write_page(p, i));
	print_row("private-file");
	munmap(p, NR * PAGE);
	read_cached(cached);
	close(empty);
	close(cached);
}

static void mappings(void)
{
	char *p = NULL;

	MUST(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	     MAP_FAILED); /* a neighbour that does not merge */
	vmstat_read(&before);
	for (long i = 0; i < NR; i++) {
		uint64_t start = read_tsc();

		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		sample[i] = read_tsc() - start;
		MUST(p != MAP_FAILED && munmap(p, PAGE) == 0);
	}
	print_row("mmap");
	vmstat_read(&before);
	for (long i = 0; i < NR; i++) {
		uint64_t start;

		p = map(PAGE, MAP_PRIVATE);
		write_page(p, 0);
		start = read_tsc();
		munmap(p, PAGE);
		sample[i] = read_tsc() - start;
	}
	print_row("munmap");
}

static uint32_t never = 1;

static void *sleeper(void *arg)
{
	for (;;)
		futex_wait(&never, 1);
	return arg;
}

/* --- swap (to the first disk, if the machine has swap) ------------------------------------------------------------ */

static void swap_out(char *p)
{
	MUST(madvise(p, NR * PAGE, MADV_PAGEOUT) == 0);
}

/* Prints the mean of one call for all pages, as the row in peers.md does. */
static void swap_out_row(char *p)
{
	uint64_t start;

	vmstat_read(&before);
	start = read_tsc();
	swap_out(p);
	print_figure("swap-out", (read_tsc() - start + NR / 2) / NR);
}

static void swap_rows(void)
{
	char *p = map(NR * PAGE, MAP_PRIVATE);
	struct sysinfo info;

	if (sysinfo(&info) || !info.totalswap || !on_faultline())
		return;
	for (long i = 0; i < NR; i++)
		write_page(p, i);
	swap_out_row(p);
	vmstat_read(&before);
	MEASURE(read_page(p, i));
	print_row("swap-in-read");
	swap_out(p);
	vmstat_read(&before);
	MEASURE(write_page(p, i));
	print_row("swap-in-write");
	/* A page that was sent to a slow disk stays in the swap cache. */
	MUST(set_disk("latency_us", "100000"));
	MUST(set_disk("mode", "async"));
	swap_out(p);
	usleep(200000);
	MUST(set_disk("mode", "sync"));
	vmstat_read(&before);
	MEASURE(read_page(p, i));
	print_row("swap-cache-hit");
	munmap(p, NR * PAGE);
}

static int rows(void)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	usleep(20000);
	null_syscall();
	first_touches();
	fork_rows();
	files();
	mappings();
	swap_rows();
	return 0;
}

/* --- growth and lines ------------------------------------------------------------------------------------------- */

struct worker {
	pthread_t thread;
	int cpu;
	char *part;
	bool writes; /* maps and unmaps instead of faulting */
};

static struct worker workers[MAX_THREADS];
static int nr_workers, nr_faulting;
static volatile int arrived, go, finished, leave;

static void fault_part(const struct worker *w)
{
	for (unsigned long i = 0; i < PART_TABLES * 512; i++)
		write_page(w->part, i);
}

/* Writes one page in each table, so that page tables, anon_vma and the like exist before the measurement starts. */
static void prepare_part(const struct worker *w)
{
	for (unsigned long i = 0; i < PART_TABLES; i++)
		write_page(w->part, i * 512);
}

static void map_and_unmap(void)
{
	for (int i = 0; i < WRITER_ROUNDS; i++) {
		char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		MUST(p != MAP_FAILED && munmap(p, PAGE) == 0);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	MUST(run_on_cpu(w->cpu));
	if (!w->writes)
		prepare_part(w);
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	while (!go)
		__asm__ volatile("pause");
	if (w->writes)
		map_and_unmap();
	else
		fault_part(w);
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	while (!leave)
		__asm__ volatile("pause");
	return NULL;
}

/* Gives each worker its part: a piece of one VMA, or a VMA of its own with inaccessible neighbours. */
static void place_parts(bool own)
{
	size_t stride = (PART_TABLES + own) * TABLE;
	char *area = mmap(NULL, nr_workers * stride + 2 * TABLE, own ? PROT_NONE : PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(area != MAP_FAILED);
	madvise(area, nr_workers * stride + 2 * TABLE, MADV_NOHUGEPAGE);
	area = (char *)(((uintptr_t)area + TABLE - 1) & -TABLE);
	for (int i = 0; i < nr_workers; i++) {
		workers[i].part = area + i * stride;
		if (own)
			MUST(mprotect(workers[i].part, PART_TABLES * TABLE, PROT_READ | PROT_WRITE) == 0);
	}
}

static void start_workers(const char *place)
{
	bool writer = strcmp(place, "writer") == 0;

	place_parts(strcmp(place, "one") != 0);
	nr_faulting = nr_workers;
	for (int i = 0; i < nr_workers; i++) {
		workers[i].cpu = i;
		workers[i].writes = writer && nr_workers > 1 && i == nr_workers - 1;
		nr_faulting -= workers[i].writes;
		if (i > 0)
			MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	}
	MUST(run_on_cpu(0));
	prepare_part(&workers[0]);
	while (arrived < nr_workers - 1)
		__asm__ volatile("pause");
}

/* Allows the workers to exit when they are done, and waits for them. */
static void join_workers(void)
{
	leave = 1;
	for (int i = 1; i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
}

/*
 * Starts the workers, does the first worker's part, and returns when all others have exited: CPUs that are done halt.
 */
static void run_workers(void)
{
	leave = 1;
	go = 1;
	fault_part(&workers[0]);
	join_workers();
}

/*
 * Like run_workers(), but returns when all are done and before any exits: a thread's exit writes cache lines of its
 * own.
 */
static void run_workers_to_their_ends(void)
{
	go = 1;
	fault_part(&workers[0]);
	while (finished < nr_workers - 1)
		__asm__ volatile("pause");
}

/* Adds a thread that sleeps, so that no strategy is skipped because the process has a single thread. */
static void add_sleeper(void)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	usleep(20000);
}

static int growth(const char *place)
{
	uint64_t start, writer = 0, faults, total;

	add_sleeper();
	start_workers(place);
	if (nr_faulting < nr_workers) {
		start = read_tsc();
		map_and_unmap();
		writer = read_tsc() - start;
	}
	vmstat_read(&before);
	start = read_tsc();
	run_workers();
	total = read_tsc() - start;
	vmstat_read(&after);
	faults = nr_faulting * PART_TABLES * 511;
	printf("growth %.1f", (double)(total > writer ? total - writer : 0) / faults);
	print_keys();
	return 0;
}

static int lines(const char *place)
{
	MUST(mmap((void *)MARK, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	     (void *)MARK);
	MARK[8] = 1; /* so that the marks don't fault */
	add_sleeper();
	start_workers(place);
	vmstat_read(&before);
	MARK[0] = 1;
	run_workers_to_their_ends();
	MARK[1] = 1;
	join_workers();
	vmstat_read(&after);
	printf("faulted %lu", nr_faulting * PART_TABLES * 511);
	print_keys();
	return 0;
}

/* --- start-up --------------------------------------------------------------------------------------------------- */

/*
 * Starts this program with nothing to do, and waits for its end. Until it calls execve, the vfork child shares our
 * memory, and its /proc/self/exe is ours.
 */
static void start_and_end(void)
{
	pid_t child = vfork();
	int status;

	MUST(child >= 0);
	if (child == 0) {
		execl("/proc/self/exe", "bench", "nothing", NULL);
		_exit(127);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

static unsigned long long delta(const char *name)
{
	return (unsigned long long)vmstat_delta(&before, &after, name);
}

/*
 * Prints how many faults of a program's start-up were resolved by cached pages alone, by strategy, and how many pages
 * were mapped around the faulting ones, which saved further faults. Measures twice: with spf_single_thread off, then
 * on.
 */
static int startup(void)
{
	static const char *const settings[] = { "0", "1" };

	if (!on_faultline())
		return 0;
	start_and_end(); /* so that its pages are in memory */
	for (int i = 0; i < 2; i++) {
		unsigned long long faults, won;

		MUST(write_text("/proc/sys/vm/spf_single_thread", settings[i]) > 0);
		vmstat_read(&before);
		start_and_end();
		vmstat_read(&after);
		faults = delta("pgfault");
		won = delta("spf_answered_cached");
		printf("startup %llu spf_single_thread=%s won=%llu percent=%llu speculative=%llu vma_cached=%llu "
		       "mmap_cached=%llu around=%llu spf_skip_single_thread=%llu\n",
		       faults, settings[i], won, faults ? (100 * won + faults / 2) / faults : 0,
		       delta("speculative_pgfault"), delta("vma_lock_answered_cached"), delta("mmap_answered_cached"),
		       delta("fault_around_pages"), delta("spf_skip_single_thread"));
	}
	MUST(write_text("/proc/sys/vm/spf_single_thread", "0") > 0);
	return 0;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: bench rows [POLICY]\n"
		"       bench startup\n"
		"       bench growth|lines one|own|writer N [POLICY]      N threads on N CPUs, 1 to %d\n",
		MAX_THREADS);
	return 2;
}

static bool is_place(const char *name)
{
	return strcmp(name, "one") == 0 || strcmp(name, "own") == 0 || strcmp(name, "writer") == 0;
}

static bool choose_policy(const char *name)
{
	for (int policy = POLICY_MMAP; policy < NR_POLICIES; policy++)
		if (strcmp(name, policy_name(policy)) == 0)
			return set_policy(policy);
	return false;
}

int main(int argc, char **argv)
{
	bool is_rows = argc > 1 && strcmp(argv[1], "rows") == 0;
	int nr_args = is_rows ? 2 : 4;

	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		return 0;
	if (argc == 2 && strcmp(argv[1], "startup") == 0)
		return startup();
	if (argc < nr_args || argc > nr_args + 1)
		return usage();
	if (argc == nr_args + 1 && !choose_policy(argv[nr_args]))
		return usage();
	memset(sample, 1, sizeof(sample));
	memset(&before, 0, sizeof(before));
	vmstat_read(&after);
	calibrate();
	if (is_rows)
		return rows();
	nr_workers = atoi(argv[3]);
	if (nr_workers < 1 || nr_workers > MAX_THREADS || !is_place(argv[2]))
		return usage();
	if (strcmp(argv[1], "growth") == 0)
		return growth(argv[2]);
	return strcmp(argv[1], "lines") == 0 ? lines(argv[2]) : usage();
}
