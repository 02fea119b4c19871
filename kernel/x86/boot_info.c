/* SPDX-License-Identifier: MIT */
/*
 * Converts the boot loader's information, in multiboot2 or PVH form, into struct boot_info. Runs once, on the boot page
 * tables, which show the lower 4 GiB in the direct map. Later code uses nothing of the loader's data but the initramfs.
 */
#include "kernel/boot_info.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/x86/setup.h"

struct boot_info boot_info;

/* ---- PVH: struct hvm_start_info (Xen's public headers describe it) ---- */

struct hvm_start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist_paddr, cmdline_paddr, rsdp_paddr;
	u64 memmap_paddr; /* from version 1 on */
	u32 memmap_entries, reserved;
};

struct hvm_module {
	u64 paddr, size, cmdline_paddr, reserved;
};

struct hvm_memory {
	u64 addr, size;
	u32 type, reserved;
};

/* ---- multiboot2: a sequence of tags, each 8-byte aligned ---- */

struct mb2_tag {
	u32 type, size;
	u8 data[];
};

struct mb2_memory_map {
	u32 entry_size, entry_version;
	u8 entries[];
};

struct mb2_memory {
	u64 addr, size;
	u32 type, reserved;
};

enum { MB2_END = 0, MB2_COMMAND_LINE = 1, MB2_MODULE = 3, MB2_MEMORY_MAP = 6, MB2_RSDP_OLD = 14, MB2_RSDP = 15 };

static void add_memory(paddr_t start, paddr_t size, u32 type)
{
	unsigned at = boot_info.nr_memory;

	if (!size)
		return;
	if (at == MAX_MEMORY_RANGES) {
		klog("memory map too long: the range %#lx-%#lx of type %u is ignored", start, start + size - 1, type);
		return;
	}
	for (; at && boot_info.memory[at - 1].start > start; at--)
		boot_info.memory[at] = boot_info.memory[at - 1];
	boot_info.memory[at] = (struct memory_range){ start, start + size, type };
	boot_info.nr_memory++;
}

static void set_command_line(const char *text)
{
	size_t length = strnlen(text, sizeof(boot_info.command_line) - 1);

	memcpy(boot_info.command_line, text, length);
	boot_info.command_line[length] = 0;
	if (text[length])
		klog_record("FAULTLINE-WORD The kernel command line is longer than %zu bytes: the rest is ignored",
			    length);
}

static void set_initramfs(paddr_t start, paddr_t end)
{
	boot_info.initramfs_start = start;
	boot_info.initramfs_end = end;
}

static void read_pvh(paddr_t info_paddr)
{
	const struct hvm_start_info *info = phys_to_virt(info_paddr);
	const struct hvm_memory *memory = phys_to_virt(info->memmap_paddr);
	const struct hvm_module *module = phys_to_virt(info->modlist_paddr);

	boot_info.protocol = "pvh";
	boot_info.rsdp = info->rsdp_paddr;
	if (info->cmdline_paddr)
		set_command_line(phys_to_virt(info->cmdline_paddr));
	if (info->nr_modules)
		set_initramfs(module->paddr, module->paddr + module->size);
	for (u32 i = 0; i < info->memmap_entries; i++)
		add_memory(memory[i].addr, memory[i].size, memory[i].type);
}

static void read_mb2_memory(const struct mb2_tag *tag)
{
	const struct mb2_memory_map *map = (const void *)tag->data;
	const u8 *end = (const u8 *)tag + tag->size;

	for (const u8 *p = map->entries; p + map->entry_size <= end; p += map->entry_size) {
		const struct mb2_memory *entry = (const void *)p;

		add_memory(entry->addr, entry->size, entry->type);
	}
}

static void read_mb2_tag(const struct mb2_tag *tag)
{
	const u32 *words = (const void *)tag->data;

	switch (tag->type) {
	case MB2_COMMAND_LINE:
		set_command_line((const char *)tag->data);
		break;
	case MB2_MODULE:
		if (!boot_info.initramfs_end)
			set_initramfs(words[0], words[1]);
		break;
	case MB2_MEMORY_MAP:
		read_mb2_memory(tag);
		break;
	case MB2_RSDP_OLD:
	case MB2_RSDP: /* the tag holds a copy; the newer one comes later, or alone */
		boot_info.rsdp = virt_to_phys(tag->data);
		break;
	}
}

static void read_multiboot2(paddr_t info_paddr)
{
	const struct mb2_tag *tag = phys_to_virt(info_paddr + 8);

	boot_info.protocol = "multiboot2";
	while (tag->type != MB2_END) {
		read_mb2_tag(tag);
		tag = (const void *)((const u8 *)tag + align_up(tag->size, 8u));
	}
}

void boot_info_read(enum boot_protocol protocol, paddr_t info_paddr)
{
	if (protocol == BOOT_PVH)
		read_pvh(info_paddr);
	else
		read_multiboot2(info_paddr);
	if (!boot_info.nr_memory)
		panic("The boot loader (%s) gave no memory map", boot_info.protocol);
}

const void *boot_initramfs(size_t *size)
{
	*size = boot_info.initramfs_end - boot_info.initramfs_start;
	return phys_to_virt(boot_info.initramfs_start);
}
