/* SPDX-License-Identifier: MIT */
/* The names of this system, as uname reports them. */
#ifndef KERNEL_UNAME_H
#define KERNEL_UNAME_H

#include "kernel/lib/base.h"

#define UTS_LEN 65
#define UTS_RELEASE "6.1.0-faultline" /* at least what Debian 12's programs expect */
#define UTS_VERSION "#1 SMP Faultline"

/* Linux's struct new_utsname. */
struct utsname {
	char sysname[UTS_LEN], nodename[UTS_LEN], release[UTS_LEN], version[UTS_LEN], machine[UTS_LEN],
		domainname[UTS_LEN];
};

/*
 * Copies the names; sets the host or domain name (at `offset` in struct utsname). Returns: 0, or -EINVAL if it is too
 * long.
 */
void uname_get(struct utsname *copy);
int uname_set(size_t offset, const char *text, size_t len);

#endif
