/* SPDX-License-Identifier: MIT */
/* The system's names. kernel/linux/system.c has the calls that change them. */
#include "kernel/uname.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/sync/mutex.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

static struct mutex names_lock = MUTEX_INIT(names_lock, FILES);
static struct utsname names = {
	/* names_lock */
	.sysname = "Linux", /* programs check for it */
	.nodename = "faultline", .release = UTS_RELEASE, .version = UTS_VERSION,
	.machine = "x86_64",	 .domainname = "(none)",
};

void uname_get(struct utsname *copy)
{
	mutex_lock(&names_lock);
	*copy = names;
	mutex_unlock(&names_lock);
}

int uname_set(size_t offset, const char *text, size_t len)
{
	char *name = (char *)&names + offset;

	if (len >= UTS_LEN)
		return -EINVAL;
	mutex_lock(&names_lock);
	memset(name, 0, UTS_LEN);
	memcpy(name, text, len);
	mutex_unlock(&names_lock);
	return 0;
}

SYSCALL(uname)
{
	struct utsname copy;

	uname_get(&copy);
	return copy_to_user(a0, &copy, sizeof(copy)) ? -EFAULT : 0;
}
