/* SPDX-License-Identifier: MIT */
/*
 * Saves, loads and initialises the vector registers of user threads (xsave.h). A CPU without XSAVE has FXSAVE, which
 * writes the first 512 bytes of an area and covers x87 and SSE. No locks: an area belongs to one task.
 */
#include "kernel/boot_words.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/features.h"
#include "kernel/x86/xsave.h"
#include "mm/machine.h"

u32 xstate_size, xstate_used_size = FXSAVE_SIZE;
u64 xstate_features;
bool cpu_has_keys;
static u32 keys_offset;		/* of PKRU within an area; constant after boot */
static u32 mxcsr_mask = 0xffbf; /* the bits of MXCSR that the CPU has; constant after boot */

#define XCR0 0

#define FCW_DEFAULT 0x37f
#define MXCSR_DEFAULT 0x1f80

/* The legacy region, as FXSAVE writes it, and the XSAVE header. */
struct xstate_area {
	u16 fcw, fsw;
	u8 ftw, reserved0;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 registers[480];
	u64 xstate_bv, xcomp_bv;
	u64 reserved[6];
};
_Static_assert(sizeof(struct xstate_area) == 576, "legacy region and header");

static void set_xcr0(u64 value)
{
	__asm__ volatile("xsetbv" ::"c"(XCR0), "a"((u32)value), "d"((u32)(value >> 32)));
}

void xsave_init_cpu(void)
{
	if (!cpu_has(FEATURE_xsave))
		return;
	set_xcr0(xstate_features);
	if (cpu_has_keys)
		write_cr4(read_cr4() | CR4_PKE);
}

static bool find_keys(u32 components)
{
	return cpu_has(FEATURE_pku) && components & XSTATE_PKRU && !boot_option("nopku", NULL, 0);
}

/* A mask of zero means that the CPU is older than this field; the default is right for it. */
static void find_mxcsr_mask(void)
{
	struct xstate_area area __attribute__((aligned(64)));

	area.mxcsr_mask = 0;
	__asm__ volatile("fxsave64 %0" : "+m"(area));
	if (area.mxcsr_mask)
		mxcsr_mask = area.mxcsr_mask;
}

static void find_components(void)
{
	u32 components = cpuid(0xd, 0).eax;

	cpu_has_keys = find_keys(components);
	keys_offset = cpuid(0xd, __builtin_ctz(XSTATE_PKRU)).ebx;
	xstate_features = components & (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX | (cpu_has_keys ? XSTATE_PKRU : 0));
	xsave_init_cpu();
	xstate_used_size = cpuid(0xd, 0).ebx;
}

void xsave_init(void)
{
	find_mxcsr_mask();
	if (cpu_has(FEATURE_xsave))
		find_components();
	xstate_size = align_up(max(xstate_used_size, (u32)sizeof(struct xstate_area)), 64u);
}

void xstate_init(void *area)
{
	struct xstate_area *x = area;

	memset(x, 0, xstate_size);
	x->fcw = FCW_DEFAULT;
	x->mxcsr = MXCSR_DEFAULT;
	x->mxcsr_mask = mxcsr_mask;
	if (cpu_has_keys) {
		x->xstate_bv = XSTATE_PKRU;
		*(u32 *)((char *)area + keys_offset) = KEYS_DEFAULT;
	}
}

void xstate_save(void *area)
{
	if (likely(cpu_has(FEATURE_xsave)))
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

void xstate_load(const void *area)
{
	if (likely(cpu_has(FEATURE_xsave)))
		__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

/*
 * The image contains no component, so the CPU gives each its initial value. For the keys, Linux's initial value is
 * different, so they are set separately.
 */
void xstate_load_init(void)
{
	static const struct xstate_area init
		__attribute__((aligned(64))) = { .fcw = FCW_DEFAULT, .mxcsr = MXCSR_DEFAULT };

	xstate_load(&init);
	if (cpu_has_keys)
		keys_write(KEYS_DEFAULT);
}

void xstate_sanitize(void *area)
{
	struct xstate_area *x = area;

	x->mxcsr &= mxcsr_mask;
	x->xstate_bv &= xstate_features;
	x->xcomp_bv = 0;
	memset(x->reserved, 0, sizeof(x->reserved));
}
