/* SPDX-License-Identifier: MIT */
/*
 * The x87, SSE and AVX state of user threads and their protection-key rights, in XSAVE's standard format; without XSAVE, x87 and
 * SSE in FXSAVE's, which is the beginning of it. The kernel uses none.
 */
#ifndef KERNEL_X86_XSAVE_H
#define KERNEL_X86_XSAVE_H

#include "kernel/lib/base.h"

#define FXSAVE_SIZE 512
#define XSTATE_X87 1u
#define XSTATE_SSE 2u
#define XSTATE_AVX 4u
#define XSTATE_PKRU (1u << 9)

/*
 * Size of an area in bytes (a multiple of 64), what the CPU uses of it, and the components that are on (XCR0; 0 without XSAVE).
 * Constant after boot.
 */
extern u32 xstate_size, xstate_used_size;
extern u64 xstate_features;

/* Boot: finds out what there is; and switches it on, on each CPU. `nopku` on the command line leaves the keys off, as Linux's. */
void xsave_init(void);
void xsave_init_cpu(void);

/* Fills an area (64-byte aligned) with the state a fresh program starts with. */
void xstate_init(void *area);
/* Saves this CPU's registers to an area, and loads them from it. A malformed area faults: pass only our own. */
void xstate_save(void *area);
void xstate_load(const void *area);
/* What a signal handler starts with, into this CPU's registers: as a fresh program, without an area. */
void xstate_load_init(void);
/* Makes an area that came from user memory (a signal frame) loadable: drops reserved bits and unknown features. */
void xstate_sanitize(void *area);

#endif
