/* SPDX-License-Identifier: MIT */
/*
 * Makes random changes to an address space, and checks it against a shadow copy.
 *
 * The changes cover anonymous memory, shared and private files, forks and the heap. Every byte and every signal must be
 * what the shadow predicts. All that is visible, down to each errno, goes into a digest for each seed, which must be
 * the same as on Linux.
 *
 *	mmfuzz [--seeds A-B] [--steps N] [--only LIST]… [--exact] [--trace] [--swap] [--hog MIB] [--threads N]
 *
 *	--only 3,5,9-12	omits all other steps; if given several times, each list is run
 *	--exact	includes how VMAs merge, and moves across several of them: Linux 6.17 and newer
 *	--trace	prints every step, and the arena's mappings
 *	--swap	pages memory out between the steps
 *	--hog MIB	another process uses so much memory all the time
 *	--threads N	instead: N threads on overlapping ranges, for --steps steps each; see user/fuzz/mmfuzz_threads.h
 *
 * A seed's steps depend only on the seed and their numbers. `tests/run minimise` finds the smallest set of steps that
 * fails.
 */
#include "user/fuzz/mmfuzz_data.h"
#include "user/fuzz/mmfuzz_threads.h"
#include "user/lib/text.h"

#define MAX_STEPS 10000
#define MAX_LISTS 64
#define MAX_DEPTH 3

static long first_seed = 1, last_seed = 1, nr_steps = 100, nr_threads;
static const char *lists[MAX_LISTS];
static int nr_lists;
static bool kept[MAX_STEPS + 1];
static int depth; /* number of forks above this process */

/* --- recording the mappings ------------------------------------------------------------------------------------- */

struct line {
	unsigned long start, end, offset;
	char rights[5], name[32];
};

static bool continues(const struct line *before, const struct line *line)
{
	bool object = line->name[0];

	return !exact && before->end == line->start && strcmp(before->rights, line->rights) == 0 &&
	       strcmp(before->name, line->name) == 0 &&
	       (!object || before->offset + (before->end - before->start) == line->offset);
}

static void record_line(const struct line *line)
{
	tell("   %2lu..%2lu %s %lx %s\n", (line->start - ARENA) / PAGE, (line->end - ARENA) / PAGE - 1, line->rights,
	     line->offset, line->name);
	mix(line->start - ARENA);
	mix(line->end - ARENA);
	mix(line->name[0] ? line->offset : 0);
	for (const char *c = line->rights; *c; c++)
		mix(*c);
}

/* The offset of private memory is unspecified, and ignored. */
static bool parse_line(char *text, struct line *line)
{
	int name = 0;

	*line = (struct line){ 0 };
	if (sscanf(text, "%lx-%lx %4s %lx %*s %*s %n", &line->start, &line->end, line->rights, &line->offset, &name) !=
	    4)
		return false;
	if (name)
		snprintf(line->name, sizeof(line->name), "%s", text + name);
	if (!line->name[0])
		line->offset = 0;
	return line->start >= ARENA && line->end <= ARENA + NR_PAGES * PAGE;
}

static char *read_maps(void)
{
	static char text[1 << 16];

	MUST(read_text("/proc/self/maps", text, sizeof(text)) >= 0);
	return text;
}

/* Records the mappings of the arena. Neighbours that look alike count as one, except with --exact. */
static void record_maps(void)
{
	struct line before = { 0 }, line;
	char *rest;

	for (char *text = strtok_r(read_maps(), "\n", &rest); text; text = strtok_r(NULL, "\n", &rest)) {
		if (!parse_line(text, &line))
			continue;
		if (before.end && continues(&before, &line)) {
			before.end = line.end;
			continue;
		}
		if (before.end)
			record_line(&before);
		before = line;
	}
	if (before.end)
		record_line(&before);
}

static void check_all(void)
{
	tell("check everything\n");
	record_maps();
	for (int i = 0; i < NR_PAGES; i++)
		check_page(i);
	mix(failures);
}

/* --- a second thread -------------------------------------------------------------------------------------------- */

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* Starts a second thread, since speculation is for processes with several. It lasts as long as the process. */
static void start_companion(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16 * 1024);
	MUST(pthread_create(&thread, &attr, sleep_for_ever, NULL) == 0);
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

static const struct step {
	void (*run)(void);
	int weight;
} steps[] = {
	{ step_mmap_private, 12 }, { step_mmap_shared, 4 }, { step_mmap_file, 12 }, { step_munmap, 8 },
	{ step_mprotect, 14 },	   { step_mremap, 14 },	    { step_madvise, 16 },   { step_mlock, 4 },
	{ step_mincore, 4 },	   { step_msync, 1 },	    { step_absurd, 3 },	    { step_write, 14 },
	{ step_write_range, 8 },   { step_read, 8 },	    { step_truncate, 5 },   { step_fallocate, 4 },
	{ step_pwrite, 5 },	   { step_pread, 4 },	    { step_pread_into, 4 }, { step_pwrite_from, 4 },
	{ step_brk, 2 },	   { step_heap, 3 },
};

static void one_step(void)
{
	static int total;
	int n;

	if (!total)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			total += steps[i].weight;
	n = below(total);
	for (const struct step *step = steps;; step++) {
		if ((n -= step->weight) < 0) {
			step->run();
			return;
		}
	}
}

static void run(long from, long to);

/* Parent or child continues for some steps. The other waits, and must see none of them except in shared memory. */
static void fork_step(long from, long to, bool child_goes_on)
{
	int status, lock[2];
	char none;
	pid_t pid;

	tell("fork: the %s goes on up to step %ld\n", child_goes_on ? "child" : "parent", to - 1);
	MUST(pipe(lock) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		close(lock[1]);
		depth++;
		start_companion();
		shadow_of_child();
		if (child_goes_on)
			run(from, to);
		else
			MUST(read(lock[0], &none, 1) == 0);
		check_all();
		objects->child_digest = digest;
		_exit(failures != 0);
	}
	close(lock[0]);
	if (!child_goes_on)
		run(from, to);
	close(lock[1]);
	MUST(waitpid(pid, &status, 0) == pid);
	tell("the child has ended\n");
	failures += status != 0;
	mix(status);
	mix(objects->child_digest);
}

static void run(long from, long to)
{
	for (long number = from; number < to; number++) {
		long end;

		if (!kept[number])
			continue;
		step_number = number;
		shorten_memory(number);
		random_for(seed, number);
		tell("step %ld: ", number);
		if (once_in(30) && depth < MAX_DEPTH) {
			end = number + 2 + below(12);
			end = end < to ? end : to;
			fork_step(number + 1, end, below(2));
			number = end - 1;
		} else {
			one_step();
		}
		if (trace)
			record_maps();
	}
}

/* --- seeds ------------------------------------------------------------------------------------------------------ */

static void begin(void)
{
	static const uint64_t sizes[NR_FILES] = { 0, 10 * PAGE + 1000, FILE_BYTES };

	objects = mmap(NULL, sizeof(*objects), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(objects != MAP_FAILED);
	objects->nr = NR_FILES;
	for (int i = 0; i < NR_FILES; i++) {
		file[i] = memfd_create("mmfuzz", 0);
		MUST(file[i] >= 0 && ftruncate(file[i], sizes[i]) == 0);
		objects->object[i].size = sizes[i];
	}
	heap_begin();
}

/* Keeps only the steps of a list such as "3,5,9-12", or all steps if the list is NULL. */
static void keep_only(const char *list)
{
	memset(kept, list == NULL, sizeof(kept));
	for (char *end; list && *list; list = *end ? end + 1 : end) {
		long from = strtol(list, &end, 10), to = from;

		if (*end == '-')
			to = strtol(end + 1, &end, 10);
		for (long i = from; i >= 0 && i <= to && i <= MAX_STEPS; i++)
			kept[i] = true;
	}
}

static int seed_main(void *list)
{
	digest = 0xcbf29ce484222325;
	keep_only(list);
	start_companion();
	begin();
	run(1, nr_steps + 1);
	check_all();
	say_digest(digest);
	return failures != 0;
}

static bool run_seed(const char *list)
{
	int status = run_child(seed_main, (void *)list);

	if (status == 0)
		return true;
	say("seed %llu failed: status %#x; replay: mmfuzz --seeds %llu --steps %ld%s --trace\n",
	    (unsigned long long)seed, status, (unsigned long long)seed, nr_steps, exact ? " --exact" : "");
	return false;
}

/* --- options ---------------------------------------------------------------------------------------------------- */

static int usage(void)
{
	say("usage: mmfuzz [--seeds A-B] [--steps 1..%d] [--only LIST]... [--exact] [--trace] [--swap] [--hog MIB]"
	    " [--threads 1..%d]\n",
	    MAX_STEPS, MAX_THREADS);
	return 2;
}

static bool parse_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *rest;

		if (!strcmp(argv[i], "--exact")) {
			exact = true;
			continue;
		}
		if (!strcmp(argv[i], "--trace")) {
			trace = true;
			continue;
		}
		if (!strcmp(argv[i], "--swap")) {
			swaps = true;
			continue;
		}
		if (!strcmp(argv[i], "--seeds")) {
			first_seed = last_seed = strtol(value, &rest, 10);
			if (*rest == '-')
				last_seed = strtol(rest + 1, NULL, 10);
		} else if (!strcmp(argv[i], "--steps")) {
			nr_steps = atol(value);
		} else if (!strcmp(argv[i], "--hog")) {
			hog_mib = atol(value);
		} else if (!strcmp(argv[i], "--threads")) {
			nr_threads = atol(value);
		} else if (!strcmp(argv[i], "--only") && nr_lists < MAX_LISTS) {
			lists[nr_lists++] = value;
		} else {
			return false;
		}
		i++;
	}
	return nr_steps > 0 && nr_steps <= MAX_STEPS && nr_threads >= 0 && nr_threads <= MAX_THREADS;
}

int main(int argc, char **argv)
{
	long failed = 0;

	if (!parse_options(argc, argv))
		return usage();
	catch_faults(0);
	total_digest = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(total_digest != MAP_FAILED);
	hog_start();
	for (long n = first_seed; n <= last_seed; n++) {
		seed = n;
		if (nr_threads)
			failed += !run_threads(nr_threads, nr_steps);
		else
			for (int i = 0; i < (nr_lists ? nr_lists : 1); i++)
				failed += !run_seed(lists[i]);
	}
	if (!hog_ends_well())
		say("the hog's memory changed, or it was killed\n"), failed++;
	say("mmfuzz: %ld failed, digest %016llx\n", failed, (unsigned long long)*total_digest);
	return failed != 0;
}
