/* SPDX-License-Identifier: MIT */
/*
 * Tests the watermarks of free memory: settings with Linux's checks, kswapd0 as a kernel thread, and reclaim before any
 * thread has to wait for memory. Needs a machine with 64 MiB and as much swap.
 */
#include "user/lib/insist.h"
#include "user/lib/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIN_FREE "/proc/sys/vm/min_free_kbytes"
#define SCALE "/proc/sys/vm/watermark_scale_factor"
#define SIZE (80UL << 20)

static char text[1 << 15];

static const char *slurp(const char *path)
{
	CHECK(read_text(path, text, sizeof(text)) >= 0);
	return text;
}

static bool set(const char *path, const char *value)
{
	return write_text(path, value) == (ssize_t)strlen(value);
}

/* Returns the number after the name, at the beginning of a line. */
static unsigned long figure(const char *path, const char *name)
{
	const char *at = slurp(path);

	while (at && strncmp(at, name, strlen(name)))
		at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
	CHECK(at);
	return strtoul(at + strlen(name), NULL, 10);
}

static unsigned long vmstat(const char *name)
{
	return figure("/proc/vmstat", name);
}

static void settings(void)
{
	unsigned long total = figure("/proc/meminfo", "MemTotal:"), kib = figure(MIN_FREE, "");
	char before[32];

	CHECK(kib * kib <= 16 * total && (kib + 1) * (kib + 1) > 16 * total);
	CHECK(figure(SCALE, "") == 10);
	snprintf(before, sizeof(before), "%lu\n", kib);
	CHECK(set(MIN_FREE, "2000\n") && figure(MIN_FREE, "") == 2000);
	CHECK(!set(MIN_FREE, "-1") && errno == EINVAL);
	CHECK(!set(MIN_FREE, "2147483648") && errno == EINVAL);
	CHECK(!set(MIN_FREE, "some") && errno == EINVAL);
	CHECK(figure(MIN_FREE, "") == 2000);
	CHECK(set(MIN_FREE, before) && figure(MIN_FREE, "") == kib);
	CHECK(!set(SCALE, "0") && errno == EINVAL);
	CHECK(!set(SCALE, "3001") && errno == EINVAL);
	CHECK(set(SCALE, "100") && figure(SCALE, "") == 100);
}

/* Like other kernel threads, kswapd0 has a name and no command line. */
static void thread(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;
	char path[300];

	CHECK(proc);
	while ((entry = readdir(proc)) && !found) {
		if (!strtoul(entry->d_name, NULL, 10))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		found = !strcmp(slurp(path), "kswapd0\n");
	}
	closedir(proc);
	CHECK(found);
	strcpy(strrchr(path, '/'), "/cmdline");
	CHECK(!*slurp(path));
	strcpy(strrchr(path, '/'), "/stat");
	CHECK(strstr(slurp(path), "(kswapd0) S "));
}

/* After `settings` the marks are a hundredth of the memory apart. */
static void memory(void)
{
	unsigned long lowest = figure(MIN_FREE, "") / 4, total = figure("/proc/meminfo", "MemTotal:") / 4;
	unsigned char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK(vmstat("pgsteal_kswapd ") == 0);
	for (size_t at = 0; at < SIZE; at += 4096)
		*(size_t *)(p + at) = at + 1;
	while (vmstat("nr_free_pages ") < lowest + total / 100)
		usleep(1000);
	CHECK(vmstat("pageoutrun ") > 0);
	CHECK(vmstat("pgsteal_kswapd ") > 0);
	CHECK(vmstat("pgscan_kswapd ") >= vmstat("pgsteal_kswapd "));
	for (size_t at = 0; at < SIZE; at += 4096)
		CHECK(*(size_t *)(p + at) == at + 1);
}

int main(void)
{
	settings();
	thread();
	memory();
	printf("the watermarks hold\n");
	return 0;
}
