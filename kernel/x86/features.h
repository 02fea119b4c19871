/* SPDX-License-Identifier: MIT */
/*
 * The CPU features that the kernel needs or uses, in one list. Nothing that depends on a feature runs before CPUID has been
 * asked: boot/features.asm asks for the EARLY ones in 32-bit mode, features_init() for the others. A CPU that lacks an EARLY
 * or NEEDED one gets a sentence on every console and an end; USED ones are done without.
 */
#ifndef KERNEL_X86_FEATURES_H
#define KERNEL_X86_FEATURES_H

#include "kernel/x86/cpu.h"

enum cpuid_register { EAX, EBX, ECX, EDX };
enum feature_need {
	EARLY,	/* C code cannot run without it, or not write to the log */
	NEEDED, /* the kernel cannot, or no program of the x86-64 ABI can */
	USED,	/* if it is there */
};

/* X(name, CPUID leaf, register, bit, need, what it is). The names are Linux's, in /proc/cpuinfo, and QEMU's. */
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
	CPU_FEATURES(X)
#undef X
	NR_CPU_FEATURES
};

/* A row as boot/features.asm reads it. The last has leaf 0. */
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
 * Asks for all of them, on each CPU, and panics if the CPU lacks what is needed, or what the boot CPU has.
 * The GDT, IDT and gs base of the CPU are set up, its control registers are not.
 */
void features_init(unsigned cpu);

#endif
