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

static struct block_device disks[MAX_BLOCK_DEVICES];

/* Returns the decimal number at *text, or 0 if there is none, and moves *text behind it. */
static u64 take_number(const char **text)
{
	u64 value = 0;

	for (; **text >= '0' && **text <= '9'; ++*text)
		value = value * 10 + (u64)(**text - '0');
	return value;
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
		else if (take_word(&text, "latency="))
			disk->latency_us = take_number(&text);
		else
			return false;
	}
	return !*text;
}

static bool parse(struct block_device *disk, const char *text)
{
	u64 size = align_down(take_number(&text) << 10, PAGE_SIZE);

	disk->nr_sectors = size >> SECTOR_SHIFT;
	return size && parse_settings(disk, text);
}

bool ramdisk_describes(const char *text)
{
	struct block_device disk;

	return parse(&disk, text);
}

static void create(struct block_device *disk, const char *text)
{
	(void)parse(disk, text); /* cannot fail: boot_option() returns only valid text */
	disk->data = phys_to_virt(boot_alloc(disk->nr_sectors << SECTOR_SHIFT, PAGE_SIZE));
	block_register(disk);
	klog("%s: %lu KiB, %s", disk->name, disk->nr_sectors / 2, disk->async ? "asynchronous" : "synchronous");
}

void ramdisks_create(void)
{
	char text[64];

	for (unsigned n = 0; n < MAX_BLOCK_DEVICES; n++) {
		struct block_device *disk = &disks[n];

		ksnprintf(disk->name, sizeof(disk->name), "ram%u", n);
		if (!boot_option(disk->name, text, sizeof(text)))
			return;
		create(disk, text);
	}
}
