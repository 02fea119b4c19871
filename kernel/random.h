/* SPDX-License-Identifier: MIT */
/* Random bytes: for AT_RANDOM, getrandom and /dev/urandom. */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include "kernel/base.h"

/*
 * Fills buf. Seeded by the CPU's generator where it has one, unless `deterministic` or `schedule` is on the command line:
 * then every run gets the same bytes. Any context.
 */
void random_bytes(void *buf, size_t size);

#endif
