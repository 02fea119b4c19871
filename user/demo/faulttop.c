/* SPDX-License-Identifier: MIT */
/*
 * faulttop: shows faults per second, live in the terminal, by strategy, kind, reason and thread.
 *
 *	faulttop [-b] [-d SECONDS] [-n TIMES] [PROGRAM [ARGS…]]
 *
 * q or Ctrl-C ends it. With PROGRAM, it shows what happens while that runs, then prints totals, and exits with the
 * program's status. -b prints one screen after another, for files and pipes. Strategies and reasons are counted exactly
 * (/proc/vmstat). Kinds and threads are counted from the events that the rings still hold (/proc/fault_trace), which is
 * a sample if there are many. A thread that ends before its name could be looked up is shown by its number alone.
 */
#include "user/lib/faultline.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#define TRACE_MAX (8 << 20)
#define MAX_THREADS 256
#define SHOWN_THREADS 5
#define SHOWN_REASONS 12

struct tally {
	char name[48];
	uint64_t nr;
};

static struct {
	bool batch;
	double interval;
	long times; /* 0: until the user quits */
} options = { .interval = 1 };

static struct vmstat first, before, now;
static char trace[TRACE_MAX];
static volatile sig_atomic_t leave;
static struct termios saved_terminal;
static bool terminal_is_raw;

/* ---- Counting ---------------------------------------------------------------------------------------------------- */

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_reason(const char *name)
{
	static const char *const prefixes[] = { "spf_abort_",	     "spf_skip_",	"vma_lock_abort_",
						"vma_lock_skip_",    "vma_lock_retry_", "vma_lock_miss",
						"vma_lock_detached", "mmap_retry_" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (has_prefix(name, prefixes[i]))
			return true;
	return false;
}

static void count_in(struct tally *tallies, size_t size, const char *name)
{
	for (size_t i = 0; i < size; i++) {
		if (!tallies[i].nr)
			snprintf(tallies[i].name, sizeof(tallies[i].name), "%s", name);
		if (strcmp(tallies[i].name, name) == 0) {
			tallies[i].nr++;
			return;
		}
	}
}

static int by_number(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return x->nr < y->nr ? 1 : x->nr > y->nr ? -1 : strcmp(x->name, y->name);
}

/* Copies the word that follows `key` in a line. Returns false if there is none. */
static bool word_of(const char *line, const char *key, char *word, size_t size)
{
	const char *at = strstr(line, key);

	if (!at)
		return false;
	at += strlen(key);
	snprintf(word, size, "%.*s", (int)strcspn(at, " \n"), at);
	return true;
}

/* ---- Names of threads, kept beyond their end --------------------------------------------------------------------- */

static struct thread_name {
	char tid[12], name[48]; /* "7", "demo[7]" */
} thread_names[MAX_THREADS];
static unsigned int nr_thread_names; /* total; only the newest are kept */

static void keep_name(const char *tid, const char *comm)
{
	struct thread_name *kept = NULL;

	for (unsigned int i = 0; i < MAX_THREADS && !kept; i++)
		if (strcmp(thread_names[i].tid, tid) == 0)
			kept = &thread_names[i];
	if (!kept)
		kept = &thread_names[nr_thread_names++ % MAX_THREADS];
	snprintf(kept->tid, sizeof(kept->tid), "%s", tid);
	snprintf(kept->name, sizeof(kept->name), "%.16s[%s]", comm, tid);
}

static const char *name_of_thread(const char *tid)
{
	for (unsigned int i = 0; i < MAX_THREADS; i++)
		if (strcmp(thread_names[i].tid, tid) == 0)
			return thread_names[i].name;
	return tid;
}

/* Calls `look` for each entry of a directory whose name is a number. */
static void for_each_number(const char *directory, void (*look)(const char *directory, const char *number))
{
	struct dirent *entry;
	DIR *dir = opendir(directory);

	while (dir && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			look(directory, entry->d_name);
	if (dir)
		closedir(dir);
}

static void note_thread(const char *tasks, const char *tid)
{
	char path[64], comm[32];

	snprintf(path, sizeof(path), "%s/%.12s/comm", tasks, tid);
	if (read_text(path, comm, sizeof(comm)) <= 0)
		return;
	comm[strcspn(comm, "\n")] = 0;
	keep_name(tid, comm);
}

static void note_process(const char *proc, const char *pid)
{
	char path[32];

	snprintf(path, sizeof(path), "%s/%.12s/task", proc, pid);
	for_each_number(path, note_thread);
}

static void note_all(void)
{
	for_each_number("/proc", note_process);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/*
 * Counts the attempts that resolved a fault after `since` (ns), by kind and by thread. Returns the end of the latest
 * one.
 */
static uint64_t sample(uint64_t since, struct tally *kinds, size_t nr_kinds, struct tally *threads, size_t nr_threads)
{
	uint64_t latest = since;
	char *rest = NULL, word[48];

	(void)read_text("/proc/fault_trace", trace, sizeof(trace));
	for (char *line = strtok_r(trace, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned long long s, ns, took;

		if (sscanf(line, "[%*u] %llu.%llu +%llu", &s, &ns, &took) != 3)
			continue;
		ns += s * 1000000000ULL + took;
		if (ns <= since || !strstr(line, " attempt ") || !strstr(line, " end=answered"))
			continue;
		latest = ns > latest ? ns : latest;
		if (word_of(line, " kind=", word, sizeof(word)))
			count_in(kinds, nr_kinds, word);
		if (word_of(line, " tid=", word, sizeof(word)))
			count_in(threads, nr_threads, word);
	}
	return latest;
}

/* ---- Showing ----------------------------------------------------------------------------------------------------- */

static int rows_left, columns;

static void begin_screen(void)
{
	struct winsize window = { 0 };
	bool fits = options.batch || ioctl(1, TIOCGWINSZ, &window) || !window.ws_row || !window.ws_col;

	rows_left = fits ? INT_MAX : window.ws_row - 1; /* the last row is for the cursor */
	columns = fits ? INT_MAX : window.ws_col;
	if (!options.batch)
		printf("\033[H\033[J");
}

/* Prints one line, cut to the width of the screen, if there is a row left for it. */
__attribute__((format(printf, 1, 2))) static void put_line(const char *format, ...)
{
	char line[128];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (rows_left-- > 0)
		printf("%.*s\n", columns, line);
}

static void print_rate(const struct vmstat *from, const char *label, const char *counter, double seconds)
{
	uint64_t nr = vmstat_delta(from, &now, counter);

	put_line("  %-28s %10.0f/s %10llu", label, nr / seconds, (unsigned long long)nr);
}

/* Prints as many reasons as leave room for `below` further lines. */
static void print_reasons(const struct vmstat *from, double seconds, int below)
{
	int shown;
	static struct tally reasons[VMSTAT_ROWS];
	size_t nr = 0;

	for (unsigned int i = 0; i < now.nr; i++) {
		uint64_t n = is_reason(now.row[i].name) ? vmstat_delta(from, &now, now.row[i].name) : 0;

		if (!n)
			continue;
		snprintf(reasons[nr].name, sizeof(reasons[nr].name), "%s", now.row[i].name);
		reasons[nr++].nr = n;
	}
	qsort(reasons, nr, sizeof(reasons[0]), by_number);
	put_line("reasons");
	shown = rows_left - below < SHOWN_REASONS ? rows_left - below : SHOWN_REASONS;
	for (int i = 0; i < (int)nr && i < shown; i++)
		put_line("  %-28s %10.0f/s %10llu", reasons[i].name, reasons[i].nr / seconds,
			 (unsigned long long)reasons[i].nr);
	if (!nr)
		put_line("  none");
}

static int nr_used(const struct tally *tallies, int size)
{
	int nr = 0;

	while (nr < size && tallies[nr].nr)
		nr++;
	return nr;
}

static const char *as_it_is(const char *name)
{
	return name;
}

static void print_tallies(const char *title, struct tally *tallies, size_t size, size_t shown,
			  const char *(*label)(const char *name))
{
	uint64_t sum = 0;

	qsort(tallies, size, sizeof(tallies[0]), by_number);
	for (size_t i = 0; i < size; i++)
		sum += tallies[i].nr;
	put_line("%s, of the last %llu faults", title, (unsigned long long)sum);
	for (size_t i = 0; i < shown && i < size && tallies[i].nr; i++)
		put_line("  %-28s %10llu %11.0f %%", label(tallies[i].name), (unsigned long long)tallies[i].nr,
			 100.0 * tallies[i].nr / sum);
}

/* Prints everything since `from`, which was `seconds` ago. */
static void print_screen(const struct vmstat *from, double seconds, uint64_t *seen, const char *title)
{
	struct tally kinds[8] = { 0 };
	static struct tally threads[MAX_THREADS];

	memset(threads, 0, sizeof(threads));
	note_all();
	*seen = sample(*seen, kinds, 8, threads, MAX_THREADS);
	begin_screen();
	put_line("%s", title);
	print_rate(from, "faults", "pgfault", seconds);
	print_rate(from, "... that waited for I/O", "pgmajfault", seconds);
	put_line("strategies, attempts answered");
	print_rate(from, "spec", "spf_answered", seconds);
	print_rate(from, "vma", "vma_lock_answered", seconds);
	print_rate(from, "mmap", "mmap_answered", seconds);
	print_reasons(from, seconds, 2 + nr_used(kinds, 8) + nr_used(threads, SHOWN_THREADS));
	print_tallies("kinds", kinds, 8, 8, as_it_is);
	print_tallies("threads", threads, MAX_THREADS, SHOWN_THREADS, name_of_thread);
	fflush(stdout);
}

/* ---- The terminal, and time -------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
	(void)number;
	leave = 1;
}

static void give_terminal_back(void)
{
	if (terminal_is_raw)
		tcsetattr(0, TCSANOW, &saved_terminal);
}

/* Reads keys one by one and without echo. Ctrl-C remains a signal. */
static void take_terminal(void)
{
	struct termios raw;

	if (options.batch || tcgetattr(0, &saved_terminal))
		return;
	raw = saved_terminal;
	raw.c_lflag &= ~(ICANON | ECHO);
	terminal_is_raw = tcsetattr(0, TCSANOW, &raw) == 0;
	atexit(give_terminal_back);
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Returns the exit status that a shell would see. */
static int status_of(int raw)
{
	return WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
}

/*
 * Waits until the next screen is due. Returns false if the program must end: the user quits, or the child has ended,
 * with its exit status in *status.
 */
static bool wait_interval(double until, pid_t child, int *status)
{
	struct pollfd keys = { .fd = 0, .events = POLLIN };

	while (!leave && seconds_now() < until) {
		int left_ms = (int)((until - seconds_now()) * 1000) + 1;
		char key;
		int raw;

		if (child && waitpid(child, &raw, WNOHANG) == child) {
			*status = status_of(raw);
			return false;
		}
		if (child)
			note_all();
		if (!terminal_is_raw)
			usleep(20000);
		else if (poll(&keys, 1, left_ms < 100 ? left_ms : 100) == 1 && read(0, &key, 1) == 1 && key == 'q')
			return false;
	}
	return !leave;
}

/* Keeps the child's name, since the child may end before its name can be looked up. */
static void name_child(pid_t child, const char *program)
{
	const char *slash = strrchr(program, '/');
	char tid[12];

	snprintf(tid, sizeof(tid), "%d", child);
	keep_name(tid, slash ? slash + 1 : program);
}

static pid_t start(char **argv)
{
	pid_t child = fork();

	if (child == 0) {
		execvp(argv[0], argv);
		fprintf(stderr, "faulttop: cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	name_child(child, argv[0]);
	return child;
}

/* Returns the end of the latest event. Earlier events are not shown. */
static uint64_t latest_event(void)
{
	struct tally kinds[1] = { 0 }, threads[1] = { 0 };

	return sample(0, kinds, 1, threads, 1);
}

static int show(char **argv)
{
	double began = seconds_now(), last = began;
	uint64_t seen = latest_event(), first_seen = seen;
	pid_t child = *argv ? start(argv) : 0;
	int status = 0;

	for (long i = 0; !options.times || i < options.times; i++) {
		bool go_on = wait_interval(last + options.interval, child, &status);
		double moment = seconds_now();

		if (!go_on && !child)
			return 0;
		vmstat_read(&now);
		if (!go_on) {
			print_screen(&first, moment - began, &first_seen, "faulttop: totals");
			return status;
		}
		print_screen(&before, moment - last, &seen, options.batch ? "faulttop" : "faulttop: q leaves");
		before = now;
		last = moment;
	}
	return 0;
}

/* Returns the number in a text, or 0 if the text is not a number above 0. */
static double number_in(const char *text)
{
	char *end;
	double number = strtod(text, &end);

	return *end || !(number > 0 && number < 1e9) ? 0 : number;
}

static int usage(void)
{
	fprintf(stderr, "usage: faulttop [-b] [-d SECONDS] [-n TIMES] [PROGRAM [ARGS...]]\n"
			"SECONDS and TIMES are numbers above 0\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const int ends[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	bool right = true;
	int option;

	while ((option = getopt(argc, argv, "+bd:n:")) != -1) {
		if (option == 'b')
			options.batch = true;
		else if (option == 'd')
			right &= (options.interval = number_in(optarg)) > 0;
		else if (option == 'n')
			right &= (options.times = (long)number_in(optarg)) > 0;
		else
			return usage();
	}
	if (!right)
		return usage();
	if (!vmstat_read(&first) || access("/proc/fault_trace", R_OK)) {
		fprintf(stderr, "faulttop: this kernel records no fault events\n");
		return 1;
	}
	before = first;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], on_signal);
	take_terminal();
	return show(argv + optind);
}
