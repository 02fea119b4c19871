/* SPDX-License-Identifier: MIT */
/* The application of the kernel command line to system-wide defaults. Boot only, so there is nothing to lock. */
#include "kernel/boot_words.h"
#include "kernel/boot_options.h"
#include "kernel/debug/explain.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/fault/policy.h"

/* Returns the number that `parse` reads from the option's value; `otherwise` if the option is not given. */
static int named_option(const char *name, int (*parse)(const char *text, size_t len), int otherwise)
{
	char text[16];

	return boot_option(name, text, sizeof(text)) ? parse(text, strlen(text)) : otherwise;
}

static void apply_event_rings(void)
{
	u64 nr = boot_number("fault_events", EVENT_RING_DEFAULT);

	if (!events_init(nr))
		klog("There is no memory for %lu fault events on each CPU", (unsigned long)nr);
}

void boot_options_apply(void)
{
	u64 seed = boot_number("schedule", 0);

	WRITE_ONCE(fault_policy_default, (u8)named_option("fault_policy", fault_policy_parse, fault_policy_default));
	WRITE_ONCE(spf_validate, (u8)named_option("spf_validate", spf_validate_parse, spf_validate));
	if (seed)
		schedule_fuzz_seed(seed);
	apply_event_rings();
	explain_signals = boot_option("explain", NULL, 0);
}
