/* SPDX-License-Identifier: MIT */
/*
 * /proc/faultline/exit_status and /proc/faultline/race, the interface of tests to the machine's exit status and to race
 * points.
 *
 * exit_status is the status with which the tool that booted the machine exits when the machine is switched off.
 *
 * race runs race scripts from user mode. A write is one command:
 *	arm POINT [tid=N] [skip=N]	stops the next thread (or only thread N) that reaches the point, after N passes
 *	wait POINT [ms=N]		returns when a thread is stopped there; ETIMEDOUT after N ms (WAIT_LIMIT_MS)
 *	release POINT			lets that thread continue, and disarms the point
 *	disarm				releases all threads, and disarms all points
 * A read lists all points and their states.
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/string.h"
#include "kernel/signal/signal.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"
#include "mm/debug/race.h"
#include "mm/page/slab.h"

#define WAIT_LIMIT_MS 20000UL
#define NS_PER_MS 1000000UL
#define WAIT_STEP_NS 50000UL

/* Returns the next word of *text, terminated in place, and moves *text behind it; NULL at the end. */
static char *next_word(char **text)
{
	char *word = *text;

	while (*word == ' ')
		word++;
	if (!*word)
		return NULL;
	char *end = strchr(word, ' ');
	*text = end ? end + 1 : word + strlen(word);
	if (end)
		*end = 0;
	return word;
}

static int arm(enum race_point_id id, char *options)
{
	u64 tid = 0, skip = 0;
	char *word;
	int ret = 0;

	while (!ret && (word = next_word(&options)) != NULL) {
		if (!strncmp(word, "tid=", 4))
			ret = proc_parse_number(word + 4, &tid);
		else if (!strncmp(word, "skip=", 5))
			ret = proc_parse_number(word + 5, &skip);
		else
			ret = -EINVAL;
	}
	return ret ? ret : race_arm(id, (int)tid, (unsigned)skip);
}

/* Polls, and sleeps between polls: a thread that is stopped at a point spins on its CPU and wakes no waiter. */
static int faultline_wait_for(enum race_point_id id, char *options)
{
	u64 ms = WAIT_LIMIT_MS, limit;
	char *word = next_word(&options);

	if (word && (strncmp(word, "ms=", 3) || proc_parse_number(word + 3, &ms) || ms > WAIT_LIMIT_MS))
		return -EINVAL;
	limit = ktime_ns() + ms * NS_PER_MS;
	while (!race_stopped_at(id)) {
		if (ktime_ns() > limit)
			return -ETIMEDOUT;
		if (signal_pending())
			return -EINTR;
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		sleep_until(ktime_ns() + WAIT_STEP_NS);
	}
	return 0;
}

static int run_command(u64 id, char *buf, size_t len)
{
	char *command, *name;
	int point;

	(void)id;
	proc_trim(buf, len);
	command = next_word(&buf);
	name = command ? next_word(&buf) : NULL;
	point = name ? race_point_by_name(name) : -1;
	if (command && !name && !strcmp(command, "disarm")) {
		race_disarm_all();
		return 0;
	}
	if (point < 0)
		return -EINVAL;
	if (!strcmp(command, "arm"))
		return arm((enum race_point_id)point, buf);
	if (!strcmp(command, "wait"))
		return faultline_wait_for((enum race_point_id)point, buf);
	if (strcmp(command, "release"))
		return -EINVAL;
	race_release((enum race_point_id)point);
	return 0;
}

static int show_points(struct text *text, u64 id)
{
	size_t size = 4 * PAGE_SIZE;
	char *buf = kmalloc(size, 0);

	(void)id;
	if (!buf)
		return -ENOMEM;
	text_append(text, buf, min(race_format(buf, size), size - 1));
	kfree(buf);
	return 0;
}

static int show_exit_status(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%u\n", READ_ONCE(machine_exit_status));
	return 0;
}

static int write_exit_status(u64 id, char *buf, size_t len)
{
	u64 value;

	(void)id, (void)len;
	if (proc_parse_number(buf, &value) || value > 255)
		return -EINVAL;
	WRITE_ONCE(machine_exit_status, (u8)value);
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "exit_status", .mode = S_IFREG | 0644, .show = show_exit_status, .write = write_exit_status },
	{ .name = "race", .mode = S_IFREG | 0644, .show = show_points, .write = run_command },
};

void proc_faultline_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc_add_dir(proc, "faultline"), entries, ARRAY_SIZE(entries), 0);
}
