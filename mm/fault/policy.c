/* SPDX-License-Identifier: MIT */
/* Fault policies: which strategies a fault tries, and how speculation validates. */
#include "mm/fault/policy.h"

#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "mm/fault/core.h"

u8 fault_policy_default = POLICY_FULL;
u8 spf_validate = SPF_VALIDATE_VMA;
u8 spf_single_thread;

static const char *const policy_names[NR_POLICIES] = { [POLICY_DEFAULT] = "default",
#define X(id, name, ...) [POLICY_##id] = #name,
						       FAULT_POLICIES(X)
#undef X
};
const char *const fault_strategy_names[NR_STRATEGIES] = {
#define X(id, name, prefix) [STRATEGY_##id] = #name,
	FAULT_STRATEGIES(X)
#undef X
};
static const char *const validate_names[] = { [SPF_VALIDATE_VMA] = "vma", [SPF_VALIDATE_MM] = "mm" };

const struct fault_strategy *const *policy_strategies(const struct mm *mm)
{
	static const struct fault_strategy *const order[NR_POLICIES][NR_STRATEGIES + 1] = {
#define X(id, name, ...) [POLICY_##id] = { __VA_ARGS__ },
		FAULT_POLICIES(X)
#undef X
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
