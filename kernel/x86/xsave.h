/* SPDX-License-Identifier: MIT */
/*
 * The vector registers (x87, SSE, AVX) and protection-key rights of user threads, in XSAVE's standard format.
 *
 * Without XSAVE, x87 and SSE are saved in FXSAVE's format, which is the beginning of the other. The kernel itself uses
 * no vector registers.
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
 * Size of an area in bytes (a multiple of 64), how much of it the CPU uses, and the enabled components (XCR0; 0 without
 * XSAVE). Constant after boot.
 */
extern u32 xstate_size, xstate_used_size;
extern u64 xstate_features;

/*
 * Boot: xsave_init() finds the CPU's components, xsave_init_cpu() enables them on the calling CPU. `nopku` on the
 * command line leaves protection keys disabled, as on Linux.
 */
void xsave_init(void);
void xsave_init_cpu(void);

/* Fills an area (64-byte aligned) with the state in which a new program starts. */
void xstate_init(void *area);
/*
 * Save this CPU's registers to an area, and load them from one. Loading a malformed area faults: pass only kernel
 * memory that is known to be valid.
 */
void xstate_save(void *area);
void xstate_load(const void *area);
/*
 * Loads the state in which a signal handler starts into this CPU's registers: the same as a new program's, but from no
 * area.
 */
void xstate_load_init(void);
/* Makes an area that came from user memory (a signal frame) loadable: drops reserved bits and unknown features. */
void xstate_sanitize(void *area);

#endif
