/* SPDX-License-Identifier: MIT */
/* The table of kernel command-line options, each with a check of its value: see boot_words.h. */
#include "kernel/boot_words.h"
#include "drivers/block.h"
#include "drivers/ramdisk.h"
#include "kernel/boot_info.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "mm/fault/policy.h"

#define WORD_MAX 128 /* a name and its value, with the NUL */

/* An option as read: its name, and its value, "" if there is none. Both end with a NUL. */
struct read_word {
	char text[WORD_MAX];
	const char *value;
	bool is_cut; /* it is longer than WORD_MAX */
};

struct boot_word {
	const char *name;
	/* Returns true if the word's value is valid. */
	bool (*is_right)(const struct boot_word *known, const struct read_word *word);
	const char *right; /* describes a valid value, after "takes" in a message */
	u64 least, most;   /* bounds of a number */
};

static bool is_empty(const struct boot_word *known __maybe_unused, const struct read_word *word)
{
	return !*word->value;
}

static bool is_stream(const struct boot_word *known __maybe_unused, const struct read_word *word)
{
	return !strcmp(word->value, "stream");
}

static bool is_policy(const struct boot_word *known __maybe_unused, const struct read_word *word)
{
	return fault_policy_parse(word->value, strlen(word->value)) >= 0;
}

static bool is_validation(const struct boot_word *known __maybe_unused, const struct read_word *word)
{
	return spf_validate_parse(word->value, strlen(word->value)) >= 0;
}

/* A decimal number below 10^18. */
static bool words_parse_number(const char *text, u64 *number)
{
	size_t len = strlen(text);

	*number = 0;
	for (const char *digit = text; *digit; digit++) {
		if (*digit < '0' || *digit > '9')
			return false;
		*number = *number * 10 + (u64)(*digit - '0');
	}
	return len > 0 && len <= 18;
}

static bool is_number(const struct boot_word *known, const struct read_word *word)
{
	u64 number;

	return words_parse_number(word->value, &number) && number >= known->least && number <= known->most;
}

/* Returns true for ramN, with N below the number of devices and without leading zeros. */
static bool is_ramdisk_name(const char *name)
{
	u64 n;

	return !strncmp(name, "ram", 3) && words_parse_number(name + 3, &n) && n < MAX_BLOCK_DEVICES &&
	       (name[3] != '0' || !name[4]);
}

static bool is_ramdisk(const struct boot_word *known __maybe_unused, const struct read_word *word)
{
	char before[8];
	u64 n;

	(void)words_parse_number(word->text + strlen("ram"), &n);
	ksnprintf(before, sizeof(before), "ram%lu", (unsigned long)n - 1);
	return ramdisk_describes(word->value) && (!n || boot_option(before, NULL, 0));
}

static bool is_list_of_disks(const struct boot_word *known __maybe_unused, const struct read_word *word)
{
	const char *value = word->value, *comma;
	char name[WORD_MAX];

	do {
		comma = strchr(value, ',');
		ksnprintf(name, comma ? (size_t)(comma - value) + 1 : sizeof(name), "%s", value);
		if (!is_ramdisk_name(name) || !boot_option(name, NULL, 0))
			return false;
		value = comma + 1;
	} while (comma);
	return true;
}

#define WORD(name, is_right, right)                                                                                    \
	{                                                                                                              \
		name, is_right, right, 0, 0                                                                            \
	}
#define FLAG(name) WORD(name, is_empty, "no value")
#define NUMBER(name, least, most, right)                                                                               \
	{                                                                                                              \
		name, is_number, right, least, most                                                                    \
	}

static const struct boot_word boot_words[] = {
	FLAG("deterministic"),
	FLAG("explain"),
	FLAG("fault_dump"),
	NUMBER("fault_events", 1, 1048576, "a number of events for each CPU, 1 to 1048576"),
	WORD("fault_policy", is_policy, "mmap, vma, spec or full"),
	NUMBER("hang", 0, 1000000, "a number of seconds, 0 (never) to 1000000"),
	FLAG("nopku"),
	NUMBER("schedule", 1, 4294967295, "a seed, 1 to 4294967295"),
	FLAG("share"),
	WORD("spf_validate", is_validation, "vma or mm"),
	WORD("stderr", is_stream, "stream"),
	WORD("swap", is_list_of_disks, "disks of this command line, such as ram0,ram1"),
	FLAG("tty"),
};
static const struct boot_word ramdisk_word =
	WORD("ramN", is_ramdisk, "SIZE-IN-KIB[,sync|async][,latency=US], N from 0 on without gaps");

static const struct boot_word *word_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(boot_words); i++) {
		if (!strcmp(boot_words[i].name, name))
			return &boot_words[i];
	}
	return is_ramdisk_name(name) ? &ramdisk_word : NULL;
}

static void words_split(struct read_word *word)
{
	char *equals = strchr(word->text, '=');

	word->value = equals ? equals + 1 : "";
	if (equals)
		*equals = 0;
}

/* Reads the next option at *text and advances *text behind it. Returns false at the end. */
static bool read_word(const char **text, struct read_word *word)
{
	size_t len = 0;

	while (**text == ' ')
		++*text;
	for (; (*text)[len] && (*text)[len] != ' '; len++) {
		if (len < WORD_MAX - 1)
			word->text[len] = (*text)[len];
	}
	*text += len;
	word->text[min(len, (size_t)WORD_MAX - 1)] = 0;
	word->is_cut = len >= WORD_MAX;
	words_split(word);
	return len > 0;
}

static bool is_right(const struct boot_word *known, const struct read_word *word)
{
	return !word->is_cut && known->is_right(known, word);
}

bool boot_option(const char *name, char *buf, size_t size)
{
	const struct boot_word *known = word_named(name);
	const char *text = boot_info.command_line;
	struct read_word word;

	ASSERT(known, "a word of the command line must be in the table");
	while (read_word(&text, &word)) {
		if (strcmp(word.text, name) || !is_right(known, &word))
			continue;
		if (size)
			ksnprintf(buf, size, "%s", word.value);
		return true;
	}
	return false;
}

u64 boot_number(const char *name, u64 otherwise)
{
	char text[24];
	u64 number;

	return boot_option(name, text, sizeof(text)) && words_parse_number(text, &number) ? number : otherwise;
}

static void check_word(const struct read_word *word)
{
	const struct boot_word *known = word_named(word->text);
	const char *equals = *word->value ? "=" : "";

	if (!known)
		klog_record("FAULTLINE-WORD Unknown kernel command line parameter “%s%s%s” is ignored", word->text,
			    equals, word->value);
	else if (!is_right(known, word))
		klog_record("FAULTLINE-WORD The kernel command line's %s%s%s is ignored: %s takes %s", word->text,
			    equals, word->value, known->name, known->right);
}

void boot_words_check(void)
{
	const char *text = boot_info.command_line;
	struct read_word word;

	while (read_word(&text, &word))
		check_word(&word);
}
