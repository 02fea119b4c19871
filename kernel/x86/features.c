/* SPDX-License-Identifier: MIT */
/* Checks that each CPU has the features of features.h. No locks: the boot CPU writes cpu_features before others run. */
#include "kernel/x86/features.h"
#include "kernel/lib/print.h"

u32 cpu_features;

/* Linked at its physical address, since boot/features.asm reads it before paging is on. */
extern const struct cpu_feature boot_features[];
const struct cpu_feature boot_features[NR_CPU_FEATURES + 1] __attribute__((section(".boot.features"))) = {
#define X(name, leaf, reg, bit, need, what) [FEATURE_##name] = { leaf, reg, bit, need, #name, what },
	CPU_FEATURES(X)
#undef X
};

static bool is_there(const struct cpu_feature *feature)
{
	struct cpuid regs = cpuid(feature->leaf, 0);

	return (&regs.eax)[feature->reg] >> feature->bit & 1;
}

void features_init(unsigned cpu)
{
	const struct cpu_feature *rows =
		phys_to_virt((paddr_t)boot_features); /* the final page tables have the direct map, too */
	u32 found = 0;

	for (unsigned id = 0; id < NR_CPU_FEATURES; id++)
		found |= (u32)is_there(&rows[id]) << id;
	for (unsigned id = 0; id < NR_CPU_FEATURES; id++) {
		if (found & 1u << id)
			continue;
		if (rows[id].need != USED)
			panic("Faultline needs a CPU with %s: %s", rows[id].name, rows[id].what);
		if (cpu != 0 && cpu_has(id))
			panic("CPU %u lacks %s, which CPU 0 has: %s", cpu, rows[id].name, rows[id].what);
	}
	if (cpu == 0)
		cpu_features = found;
}
