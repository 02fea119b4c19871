/* SPDX-License-Identifier: MIT */
/*
 * Creates the ramdisks that the command line asks for (ramdisk.h). Boot only, so there is nothing to lock; block.c
 * carries out their requests.
 */
#include "drivers/ramdisk.h"
#include "drivers/block.h"
#include "kernel/boot_words.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/x86/setup.h"

#define DEFAULT_LATENCY_US 100
#define MAX_KIB (4UL << 20) /* boot_alloc() has memory below 4 GiB only */

static struct block_device disks[MAX_BLOCK_DEVICES];

/* Reads the decimal number at *text and moves *text behind it. Returns false if there is none, or one above `most`. */
static bool take_number(const char **text, u64 most, u64 *number)
{
	const char *start = *text;

	for (*number = 0; **text >= '0' && **text <= '9' && *number <= most; ++*text)
		*number = *number * 10 + (u64)(**text - '0');
	return *text > start && *number <= most;
}

/* If the text at *text begins with the word, moves *text behind it and returns true. */
static bool take_word(const char **text, const char *word)
{
	if (strncmp(*text, word, strlen(word)))
		return false;
	*text += strlen(word);
	return true;
}

/* Parses what follows the size. Returns false if any of it is unknown. */
static bool parse_settings(struct block_device *disk, const char *text)
{
	disk->latency_us = DEFAULT_LATENCY_US;
	while (take_word(&text, ",")) {
		if (take_word(&text, "async"))
			disk->async = true;
		else if (take_word(&text, "sync"))
			disk->async = false;
		else if (!take_word(&text, "latency=") || !take_number(&text, MAX_BLOCK_LATENCY_US, &disk->latency_us))
			return false;
	}
	return !*text;
}

static bool ramdisk_parse(struct block_device *disk, const char *text)
{
	u64 kib;

	if (!take_number(&text, MAX_KIB, &kib))
		return false;
	disk->nr_sectors = align_down(kib << 10, PAGE_SIZE) >> SECTOR_SHIFT;
	return disk->nr_sectors && parse_settings(disk, text);
}

bool ramdisk_describes(const char *text)
{
	struct block_device disk;

	return ramdisk_parse(&disk, text);
}

static void ramdisk_create(struct block_device *disk, const char *text)
{
	(void)ramdisk_parse(disk, text); /* cannot fail: boot_option() returns only valid text */
	disk->data = phys_to_virt(boot_alloc(disk->nr_sectors << SECTOR_SHIFT, PAGE_SIZE));
	block_register(disk);
	klog("%s: %lu KiB, %s", disk->name, disk->nr_sectors / 2, disk->async ? "asynchronous" : "synchronous");
}

void ramdisks_create(void)
{
	char text[128]; /* as much as a word of the command line can have */

	for (unsigned n = 0; n < MAX_BLOCK_DEVICES; n++) {
		struct block_device *disk = &disks[n];

		ksnprintf(disk->name, sizeof(disk->name), "ram%u", n);
		if (!boot_option(disk->name, text, sizeof(text)))
			return;
		ramdisk_create(disk, text);
	}
}
