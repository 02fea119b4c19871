/* SPDX-License-Identifier: MIT */
/* Fault policies: their names, and the strategies that each tries. */
#include "mm/fault/policy.h"

#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "mm/fault/fault.h"

u8 fault_policy_default = POLICY_FULL;
u8 spf_validate = SPF_VALIDATE_VMA;
u8 spf_single_thread;

static const char *const policy_names[NR_POLICIES] = {
	[POLICY_DEFAULT] = "default", [POLICY_MMAP] = "mmap", [POLICY_VMA] = "vma",
	[POLICY_SPEC] = "spec",	      [POLICY_FULL] = "full",
};
static const char *const validate_names[] = { [SPF_VALIDATE_VMA] = "vma", [SPF_VALIDATE_MM] = "mm" };

/* Every policy ends with mmap, the last resort, which never gives up. */
const struct fault_strategy *const *policy_strategies(const struct mm *mm)
{
	static const struct fault_strategy *const order[NR_POLICIES][4] = {
		[POLICY_MMAP] = { &strategy_mmap },
		[POLICY_VMA] = { &strategy_vma, &strategy_mmap },
		[POLICY_SPEC] = { &strategy_spec, &strategy_mmap },
		[POLICY_FULL] = { &strategy_spec, &strategy_vma, &strategy_mmap },
	};
	u8 policy = READ_ONCE(mm->policy);

	if (policy == POLICY_DEFAULT)
		policy = READ_ONCE(fault_policy_default);
	return order[policy];
}

static int find_name(const char *const *names, int first, int end, const char *text, size_t len)
{
	for (int i = first; i < end; i++)
		if (strlen(names[i]) == len && !strncmp(names[i], text, len))
			return i;
	return -EINVAL;
}

int fault_policy_parse(const char *text, size_t len)
{
	return find_name(policy_names, POLICY_MMAP, NR_POLICIES, text, len);
}

int spf_validate_parse(const char *text, size_t len)
{
	return find_name(validate_names, 0, ARRAY_SIZE(validate_names), text, len);
}

const char *fault_policy_name(enum fault_policy policy)
{
	return policy_names[policy];
}

const char *spf_validate_name(enum spf_validate validate)
{
	return validate_names[validate];
}

int mm_set_policy(struct mm *mm, unsigned long policy)
{
	if (policy >= NR_POLICIES)
		return -EINVAL;
	WRITE_ONCE(mm->policy, (u8)policy);
	return 0;
}
