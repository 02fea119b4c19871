/* SPDX-License-Identifier: MIT */
/* Applies the kernel command line. Boot only, so there is nothing to lock. */
#include "kernel/boot_info.h"
#include "kernel/boot_options.h"
#include "kernel/explain.h"
#include "kernel/print.h"
#include "kernel/string.h"
#include "mm/events.h"
#include "mm/policy.h"
#include "mm/race.h"

/* The number that the text names, by `parse`; -1 when the word is not on the command line, or says nothing known. */
static int named_option(const char *name, int (*parse)(const char *text, size_t len))
{
	char text[16];
	int value;

	if (!boot_option(name, text, sizeof(text)))
		return -1;
	value = parse(text, strlen(text));
	if (value >= 0)
		return value;
	klog("The command line's %s=%s is not known, and changes nothing", name, text);
	return -1;
}

/* A decimal number; 0 for anything else. */
static u64 parse_number(const char *text)
{
	u64 value = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		value = value * 10 + (u64)(*text - '0');
	}
	return value;
}

static void apply_schedule(void)
{
	char text[24];
	u64 seed;

	if (!boot_option("schedule", text, sizeof(text)))
		return;
	seed = parse_number(text);
	if (!seed)
		klog("The command line's schedule=%s is not a number above 0, and changes nothing", text);
	schedule_fuzz_seed(seed);
}

static void apply_event_rings(void)
{
	char text[24];
	u64 nr = boot_option("fault_events", text, sizeof(text)) ? parse_number(text) : 0;

	if (!events_init(nr ? nr : EVENT_RING_DEFAULT))
		klog("There is no memory for %lu fault events on each CPU", (unsigned long)nr);
}

void boot_options_apply(void)
{
	int policy = named_option("fault_policy", fault_policy_parse);
	int validate = named_option("spf_validate", spf_validate_parse);
	char text[2];

	if (policy >= 0)
		WRITE_ONCE(fault_policy_default, (u8)policy);
	if (validate >= 0)
		WRITE_ONCE(spf_validate, (u8)validate);
	apply_schedule();
	apply_event_rings();
	explain_signals = boot_option("explain", text, sizeof(text));
}
