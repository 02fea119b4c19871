/* SPDX-License-Identifier: MIT */
/* Random bytes: ChaCha20, keyed at boot from RDRAND and the TSC, or by a constant with `deterministic`. */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include "kernel/lib/base.h"

void random_init(void); /* boot */
/* Fills buf. Callable from any context but NMI. */
void random_bytes(void *buf, size_t size);

#endif
