/* SPDX-License-Identifier: MIT */
/* Random numbers that depend on a seed alone, the same on every machine. */
#ifndef USER_RANDOM_H
#define USER_RANDOM_H

#include <stdint.h>

static inline uint64_t splitmix64(uint64_t *state) /* Steele et al. 2014 */
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Returns a random number below the limit. */
static inline uint64_t draw(uint64_t *state, uint64_t limit)
{
	return splitmix64(state) % limit;
}

#endif
