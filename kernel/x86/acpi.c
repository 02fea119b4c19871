/* SPDX-License-Identifier: MIT */
/*
 * Reads the ACPI tables to find the CPUs (MADT) and the port that switches the machine off (FADT). Uses the direct map
 * of the boot page tables, which shows the lower 4 GiB; tables above are ignored.
 */
#include "drivers/power.h"
#include "kernel/boot_info.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/x86/setup.h"

struct acpi_info acpi_info = { .lapic_base = 0xfee00000, .ioapic_base = 0xfec00000 };

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
} __attribute__((packed));

struct acpi_table {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision, creator, creator_revision;
	u8 data[];
} __attribute__((packed));

/* The data that follows the header of the MADT. */
struct madt {
	u32 lapic_base, flags;
	u8 entries[];
} __attribute__((packed));

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_LAPIC_BASE = 5 };
#define MADT_ENABLED 1u
#define FADT_PM1A_CONTROL 64 /* byte offset */
#define BOOT_MAP_END (4UL << 30)

static u8 checksum(const void *start, size_t size)
{
	const u8 *p = start;
	u8 sum = 0;

	while (size--)
		sum += *p++;
	return sum;
}

static const struct rsdp *search_rsdp(paddr_t start, paddr_t end)
{
	for (paddr_t p = start; p < end; p += 16) {
		const struct rsdp *rsdp = phys_to_virt(p);

		if (!memcmp(rsdp->signature, "RSD PTR ", 8) && !checksum(rsdp, 20))
			return rsdp;
	}
	return NULL;
}

/* Returns the RSDP that the boot loader passed, or else the one where a PC BIOS leaves it, or NULL. */
static const struct rsdp *find_rsdp(void)
{
	paddr_t ebda = (paddr_t) * (volatile u16 *)phys_to_virt(0x40e) << 4;
	const struct rsdp *rsdp = NULL;

	if (boot_info.rsdp)
		return phys_to_virt(boot_info.rsdp);
	if (ebda >= 0x80000 && ebda < 0xa0000)
		rsdp = search_rsdp(ebda, ebda + 1024);
	return rsdp ? rsdp : search_rsdp(0xe0000, 0x100000);
}

static void add_cpu(const u8 *entry)
{
	u32 flags;

	memcpy(&flags, entry + 4, 4);
	if (!(flags & MADT_ENABLED))
		return;
	if (acpi_info.nr_cpus < MAX_CPUS)
		acpi_info.apic_ids[acpi_info.nr_cpus++] = entry[3];
	else
		klog("more than %u CPUs: the one with APIC number %u is not used", MAX_CPUS, entry[3]);
}

/* Uses only the first I/O APIC, which gets the legacy devices' interrupts. */
static void use_ioapic(const u8 *entry)
{
	u32 base, first_gsi;

	memcpy(&base, entry + 4, 4);
	memcpy(&first_gsi, entry + 8, 4);
	if (first_gsi == 0)
		acpi_info.ioapic_base = base;
}

static void read_madt(const struct acpi_table *table)
{
	const struct madt *madt = (const void *)table->data;
	const u8 *end = (const u8 *)table + table->length;

	acpi_info.lapic_base = madt->lapic_base;
	for (const u8 *entry = madt->entries; entry + 2 <= end && entry[1]; entry += entry[1]) {
		if (entry[0] == MADT_LAPIC)
			add_cpu(entry);
		else if (entry[0] == MADT_IOAPIC)
			use_ioapic(entry);
		else if (entry[0] == MADT_LAPIC_BASE)
			memcpy(&acpi_info.lapic_base, entry + 4, 8);
	}
}

/* Returns the table at paddr, or NULL if the boot page tables do not show all of it. */
static const struct acpi_table *table_at(paddr_t paddr)
{
	const struct acpi_table *table = phys_to_virt(paddr);

	if (paddr > BOOT_MAP_END - sizeof(*table))
		return NULL;
	return table->length >= sizeof(*table) && table->length <= BOOT_MAP_END - paddr ? table : NULL;
}

static void read_table(paddr_t paddr)
{
	const struct acpi_table *table = table_at(paddr);
	u32 port;

	if (!table || checksum(table, table->length))
		return;
	if (!memcmp(table->signature, "APIC", 4)) {
		read_madt(table);
	} else if (!memcmp(table->signature, "FACP", 4)) {
		memcpy(&port, (const u8 *)table + FADT_PM1A_CONTROL, 4);
		power_set_acpi_port((u16)port);
	}
}

/* The root table lists the others' addresses, 8 bytes each in the XSDT, 4 in the older RSDT. */
static void read_root(const struct rsdp *rsdp)
{
	bool extended = rsdp->revision >= 2 && rsdp->xsdt && rsdp->xsdt < BOOT_MAP_END;
	const struct acpi_table *root = table_at(extended ? rsdp->xsdt : rsdp->rsdt);
	size_t size = extended ? 8 : 4;

	for (size_t at = 0; root && at + size <= root->length - sizeof(*root); at += size) {
		u64 paddr = 0;

		memcpy(&paddr, root->data + at, size);
		read_table(paddr);
	}
}

void acpi_init(void)
{
	const struct rsdp *rsdp = find_rsdp();

	if (rsdp)
		read_root(rsdp);
	else
		klog("no ACPI tables: one CPU");
}
