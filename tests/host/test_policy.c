/* SPDX-License-Identifier: MIT */
/* Tests of policy names, as /proc and prctl accept them, and of policy numbers. */
#include "test.h"

#include "kernel/lib/string.h"

TEST(policies_have_names, 1)
{
	for (int policy = POLICY_MMAP; policy < NR_POLICIES; policy++)
		CHECK_EQ(fault_policy_parse(fault_policy_name(policy), strlen(fault_policy_name(policy))), policy);
	CHECK_EQ(fault_policy_parse("full, and what follows", 4), POLICY_FULL);
	CHECK_EQ(fault_policy_parse("full", 3), -EINVAL);
	CHECK_EQ(fault_policy_parse("fulls", 5), -EINVAL);
	CHECK_EQ(fault_policy_parse("Full", 4), -EINVAL);
	CHECK_EQ(fault_policy_parse("default", 7), -EINVAL); /* the default cannot be "default" */
	CHECK_EQ(fault_policy_parse("", 0), -EINVAL);
	for (int how = SPF_VALIDATE_VMA; how <= SPF_VALIDATE_MM; how++)
		CHECK_EQ(spf_validate_parse(spf_validate_name(how), strlen(spf_validate_name(how))), how);
	CHECK_EQ(spf_validate_parse("full", 4), -EINVAL);
}

TEST(policies_are_set_by_number, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);

	CHECK_EQ(mm_set_policy(mm, NR_POLICIES), -EINVAL);
	CHECK_EQ(mm_set_policy(mm, ~0UL), -EINVAL);
	CHECK_EQ(mm->policy, POLICY_MMAP);
	CHECK_EQ(mm_set_policy(mm, NR_POLICIES - 1), 0);
	CHECK_EQ(mm->policy, NR_POLICIES - 1);
	test_mm_put(mm);
}
