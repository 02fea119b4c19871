/* SPDX-License-Identifier: MIT */
/*
 * Tests malloc, calloc, realloc and free in several threads, with blocks of up to a megabyte whose pattern is checked.
 */
#include "user/lib/check.h"
#include "user/lib/random.h"

#include <pthread.h>

#define SLOTS 128

struct block {
	unsigned char *p;
	size_t size;
	unsigned char tag;
};

static long rounds = 3000;

static size_t some_size(uint64_t *state)
{
	size_t size = 1 + draw(state, 200);

	if (draw(state, 8) == 0)
		size *= 100;
	return draw(state, 64) ? size : size * 100 % (1 << 20) + 1;
}

static bool intact(const struct block *b)
{
	return !b->p || (b->p[0] == b->tag && b->p[b->size / 2] == b->tag && b->p[b->size - 1] == b->tag);
}

static int replace(struct block *b, uint64_t *state)
{
	size_t size = some_size(state);
	int bad = !intact(b);

	if (b->p && draw(state, 3) == 0) {
		b->p = realloc(b->p, size);
		bad += b->p[0] != b->tag;
	} else {
		bool is_cleared = draw(state, 4) == 0;

		free(b->p);
		b->p = is_cleared ? calloc(1, size) : malloc(size);
		bad += is_cleared && b->p && (b->p[0] || b->p[size / 2] || b->p[size - 1]);
	}
	MUST(b->p);
	b->size = size;
	b->tag = (unsigned char)splitmix64(state);
	memset(b->p, b->tag, size);
	return bad;
}

static void *storm(void *arg)
{
	uint64_t state = 99 + (uintptr_t)arg;
	struct block block[SLOTS] = { 0 };
	intptr_t bad = 0;

	for (long i = 0; i < rounds; i++)
		bad += replace(&block[draw(&state, SLOTS)], &state);
	for (int i = 0; i < SLOTS; i++) {
		bad += !intact(&block[i]);
		free(block[i].p);
	}
	return (void *)bad;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];
	long bad = 0;
	void *value;

	if (argc > 1)
		rounds = atol(argv[1]);
	section("four threads");
	for (intptr_t i = 0; i < 4; i++)
		MUST(pthread_create(&threads[i], NULL, storm, (void *)i) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &value);
		bad += (intptr_t)value;
	}
	CHECK_EQ(bad, 0);
	return check_done();
}
