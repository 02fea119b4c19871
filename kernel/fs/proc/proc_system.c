/* SPDX-License-Identifier: MIT */
/*
 * The files of /proc that describe the machine and the kernel as a whole: cmdline, cpuinfo, filesystems, mounts, swaps,
 * version. Takes no lock of its own: a figure that changes during a read is shown with its old or its new value.
 */
#include "kernel/boot_info.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/sched/sched.h"
#include "kernel/swap.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uname.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/xsave.h"
#include "mm/page/slab.h"
#include "mm/swap/swap.h"

#define KIB(pages) ((pages) << (PAGE_SHIFT - 10))

/* --- processors --- */

static void show_brand(struct text *text)
{
	struct cpuid brand[3] = { cpuid(0x80000002, 0), cpuid(0x80000003, 0), cpuid(0x80000004, 0) };

	text_printf(text, "%.48s", (const char *)brand);
}

static const struct {
	const char *name;
	u32 leaf;
	u8 reg; /* 0 … 3: eax … edx */
	u8 bit;
} cpu_flags[] = {
	{ "fpu", 1, 3, 0 },	     { "vme", 1, 3, 1 },
	{ "de", 1, 3, 2 },	     { "pse", 1, 3, 3 },
	{ "tsc", 1, 3, 4 },	     { "msr", 1, 3, 5 },
	{ "pae", 1, 3, 6 },	     { "mce", 1, 3, 7 },
	{ "cx8", 1, 3, 8 },	     { "apic", 1, 3, 9 },
	{ "sep", 1, 3, 11 },	     { "mtrr", 1, 3, 12 },
	{ "pge", 1, 3, 13 },	     { "mca", 1, 3, 14 },
	{ "cmov", 1, 3, 15 },	     { "pat", 1, 3, 16 },
	{ "clflush", 1, 3, 19 },     { "mmx", 1, 3, 23 },
	{ "fxsr", 1, 3, 24 },	     { "sse", 1, 3, 25 },
	{ "sse2", 1, 3, 26 },	     { "syscall", 0x80000001, 3, 11 },
	{ "nx", 0x80000001, 3, 20 }, { "rdtscp", 0x80000001, 3, 27 },
	{ "lm", 0x80000001, 3, 29 }, { "pni", 1, 2, 0 },
	{ "pclmulqdq", 1, 2, 1 },    { "ssse3", 1, 2, 9 },
	{ "fma", 1, 2, 12 },	     { "cx16", 1, 2, 13 },
	{ "pcid", 1, 2, 17 },	     { "sse4_1", 1, 2, 19 },
	{ "sse4_2", 1, 2, 20 },	     { "movbe", 1, 2, 22 },
	{ "popcnt", 1, 2, 23 },	     { "aes", 1, 2, 25 },
	{ "xsave", 1, 2, 26 },	     { "avx", 1, 2, 28 },
	{ "f16c", 1, 2, 29 },	     { "rdrand", 1, 2, 30 },
	{ "hypervisor", 1, 2, 31 },  { "lahf_lm", 0x80000001, 2, 0 },
	{ "abm", 0x80000001, 2, 5 }, { "fsgsbase", 7, 1, 0 },
	{ "bmi1", 7, 1, 3 },	     { "avx2", 7, 1, 5 },
	{ "smep", 7, 1, 7 },	     { "bmi2", 7, 1, 8 },
	{ "erms", 7, 1, 9 },	     { "rdseed", 7, 1, 18 },
	{ "adx", 7, 1, 19 },	     { "smap", 7, 1, 20 },
	{ "clflushopt", 7, 1, 23 },  { "clwb", 7, 1, 24 },
	{ "pku", 7, 2, 3 },	     { "ospke", 7, 2, 4 },
	{ "fsrm", 7, 3, 4 },
};

/*
 * Flags of instructions that fault unless the kernel has enabled the register state that they use. As on Linux, they
 * are hidden if it has not.
 */
static const struct {
	const char *name;
	u64 state;
} flags_with_state[] = {
	{ "xsave", XSTATE_SSE }, { "avx", XSTATE_AVX },	 { "f16c", XSTATE_AVX },   { "fma", XSTATE_AVX },
	{ "avx2", XSTATE_AVX },	 { "pku", XSTATE_PKRU }, { "ospke", XSTATE_PKRU },
};

static bool flag_is_usable(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(flags_with_state); i++)
		if (!strcmp(flags_with_state[i].name, name))
			return xstate_features & flags_with_state[i].state;
	return true;
}

static void system_show_flags(struct text *text)
{
	text_printf(text, "flags\t\t:");
	for (unsigned i = 0; i < ARRAY_SIZE(cpu_flags); i++) {
		struct cpuid regs = cpuid(cpu_flags[i].leaf, 0);

		if ((&regs.eax)[cpu_flags[i].reg] >> cpu_flags[i].bit & 1 && flag_is_usable(cpu_flags[i].name))
			text_printf(text, " %s", cpu_flags[i].name);
	}
	text_printf(text, "\n");
}

/* All CPUs are identical: the CPUID of the current one is shown for each. */
static int show_cpuinfo(struct text *text, u64 id)
{
	struct cpuid vendor = cpuid(0, 0), version = cpuid(1, 0), sizes = cpuid(0x80000008, 0);
	u32 family = (version.eax >> 8 & 15) + (version.eax >> 20 & 0xff);
	u32 model = (version.eax >> 4 & 15) | (version.eax >> 12 & 0xf0);

	(void)id;
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		text_printf(
			text,
			"processor\t: %u\nvendor_id\t: %.4s%.4s%.4s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: ",
			cpu, (char *)&vendor.ebx, (char *)&vendor.edx, (char *)&vendor.ecx, family, model);
		show_brand(text);
		text_printf(
			text,
			"\nstepping\t: %u\ncpu MHz\t\t: %lu.%03lu\nphysical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\n",
			version.eax & 15, tsc_hz / 1000000, tsc_hz / 1000 % 1000, nr_cpus(), cpu);
		text_printf(text,
			    "cpu cores\t: %u\napicid\t\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\n"
			    "cpuid level\t: %u\nwp\t\t: yes\n",
			    nr_cpus(), cpus[cpu].apic_id, vendor.eax);
		system_show_flags(text);
		text_printf(text, "bogomips\t: %lu.%02lu\nclflush size\t: %u\ncache_alignment\t: %d\n", tsc_hz / 500000,
			    tsc_hz / 5000 % 100, (version.ebx >> 8 & 0xff) * 8, CACHE_LINE);
		text_printf(text, "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
			    sizes.eax ? sizes.eax & 0xff : 36, sizes.eax ? sizes.eax >> 8 & 0xff : 48);
	}
	return 0;
}

/* --- constants --- */

static int show_version(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "Linux version " UTS_RELEASE " (faultline) (" __VERSION__ ") " UTS_VERSION "\n");
	return 0;
}

static int show_cmdline(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%s\n", boot_info.command_line);
	return 0;
}

static int show_filesystems_file(struct text *text, u64 id)
{
	(void)id;
	show_filesystems(text);
	return 0;
}

static void show_swap_area(struct text *text, const struct swap_area_figures *area, char *path)
{
	u64 size = KIB(area->size), used = KIB(area->used);
	size_t line = text->length;
	bool is_file = swap_name(area->device, text, path);

	text_pad(text, line, 40);
	text_printf(text, "%s%lu\t%s%lu\t%s%d\n", is_file ? "file\t\t" : "partition\t", size,
		    size < 10000000 ? "\t" : "", used, used < 10000000 ? "\t" : "", area->priority);
}

static int show_swaps(struct text *text, u64 id)
{
	struct swap_area_figures area;
	char *path = kmalloc(PATH_MAX, ALLOC_WAIT);

	(void)id;
	if (!path)
		return -ENOMEM;
	text_printf(text, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		if (swap_area_figures(i, &area))
			show_swap_area(text, &area, path);
	kfree(path);
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "cmdline", .mode = S_IFREG | 0444, .show = show_cmdline },
	{ .name = "cpuinfo", .mode = S_IFREG | 0444, .show = show_cpuinfo },
	{ .name = "filesystems", .mode = S_IFREG | 0444, .show = show_filesystems_file },
	{ .name = "mounts", .mode = S_IFREG | 0444, .show = proc_show_mounts },
	{ .name = "swaps", .mode = S_IFREG | 0444, .show = show_swaps },
	{ .name = "version", .mode = S_IFREG | 0444, .show = show_version },
};

void proc_system_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
