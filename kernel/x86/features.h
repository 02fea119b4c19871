/* SPDX-License-Identifier: MIT */
/*
 * Lists the CPU features that the kernel needs or uses.
 *
 * No code that depends on a feature runs before CPUID has reported it: boot/features.asm checks the EARLY ones in
 * 32-bit mode, features_init() checks the others. If the CPU lacks an EARLY or NEEDED feature, the kernel prints a
 * sentence on every console and stops. USED features are optional.
 */
#ifndef KERNEL_X86_FEATURES_H
#define KERNEL_X86_FEATURES_H

#include "kernel/x86/cpu.h"

enum cpuid_register { EAX, EBX, ECX, EDX };
enum feature_need {
	EARLY,	/* without it C code cannot run, or cannot write to the log */
	NEEDED, /* without it the kernel, or every program of the x86-64 ABI, cannot run */
	USED,	/* used if present */
};

/* X(name, CPUID leaf, register, bit, need, what it is). The names are those of Linux's /proc/cpuinfo and of QEMU. */
#define CPU_FEATURES(X)                                                                                                \
	X(lm, 0x80000001, EDX, 29, EARLY, "64-bit mode")                                                               \
	X(pae, 1, EDX, 6, EARLY, "page-table entries of 64 bits")                                                      \
	X(msr, 1, EDX, 5, EARLY, "model-specific registers")                                                           \
	X(nx, 0x80000001, EDX, 20, EARLY, "pages without execute permission")                                          \
	X(tsc, 1, EDX, 4, EARLY, "the time-stamp counter")                                                             \
	X(cmov, 1, EDX, 15, EARLY, "conditional moves")                                                                \
	X(syscall, 0x80000001, EDX, 11, NEEDED, "SYSCALL and SYSRET")                                                  \
	X(apic, 1, EDX, 9, NEEDED, "a local APIC")                                                                     \
	X(fpu, 1, EDX, 0, NEEDED, "an x87 unit")                                                                       \
	X(cx8, 1, EDX, 8, NEEDED, "CMPXCHG8B")                                                                         \
	X(mmx, 1, EDX, 23, NEEDED, "MMX")                                                                              \
	X(fxsr, 1, EDX, 24, NEEDED, "FXSAVE and FXRSTOR")                                                              \
	X(sse, 1, EDX, 25, NEEDED, "SSE")                                                                              \
	X(sse2, 1, EDX, 26, NEEDED, "SSE2")                                                                            \
	X(pge, 1, EDX, 13, USED, "global pages")                                                                       \
	X(xsave, 1, ECX, 26, USED, "XSAVE and XRSTOR")                                                                 \
	X(rdrand, 1, ECX, 30, USED, "RDRAND")                                                                          \
	X(smep, 7, EBX, 7, USED, "no execution of user pages by the kernel")                                           \
	X(smap, 7, EBX, 20, USED, "no access to user pages by the kernel")                                             \
	X(pku, 7, ECX, 3, USED, "protection keys")                                                                     \
	X(pdpe1gb, 0x80000001, EDX, 26, USED, "pages of 1 GiB")

enum cpu_feature_id {
#define X(name, leaf, reg, bit, need, what) FEATURE_##name,
	CPU_FEATURES(X) NR_CPU_FEATURES
};
#undef X

/* A row of the list, which boot/features.asm also reads. The last row has leaf 0. */
struct cpu_feature {
	u32 leaf;
	u8 reg, bit, need;
	char name[9];
	char what[48];
};
_Static_assert(sizeof(struct cpu_feature) == 64, "boot/features.asm");

extern u32 cpu_features; /* a bit for each cpu_feature_id; constant once the boot CPU has called features_init() */

static inline bool cpu_has(enum cpu_feature_id id)
{
	return cpu_features & 1u << id;
}

/*
 * Checks all features on the calling CPU. Panics if it lacks a needed one, or one that the boot CPU has. The CPU's GDT,
 * IDT and gs base are set up by then, its control registers are not.
 */
void features_init(unsigned cpu);

#endif
