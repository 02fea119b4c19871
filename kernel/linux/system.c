/* SPDX-License-Identifier: MIT */
/* Calls about the system as a whole: sethostname, setdomainname, sysinfo, personality and reboot. */
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "kernel/uname.h"
#include "mm/cache/mapping_tree.h"
#include "mm/page/page_alloc.h"
#include "mm/swap/swap.h"

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static long uname_set_name(size_t offset, vaddr_t from, u64 len)
{
	char text[UTS_LEN];

	if (!process_is_privileged(current->process))
		return -EPERM;
	if (len >= UTS_LEN)
		return -EINVAL;
	return copy_from_user(text, from, len) ? -EFAULT : uname_set(offset, text, len);
}

SYSCALL(sethostname)
{
	return uname_set_name(offsetof(struct utsname, nodename), a0, a1);
}

SYSCALL(setdomainname)
{
	return uname_set_name(offsetof(struct utsname, domainname), a0, a1);
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------- */

/* Linux's struct sysinfo. */
struct sysinfo {
	s64 uptime;
	u64 loads[3];
	u64 totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	u16 procs, pad;
	u32 pad2;
	u64 totalhigh, freehigh;
	u32 mem_unit;
	u32 pad3;
};
_Static_assert(sizeof(struct sysinfo) == 112, "Linux's layout");

SYSCALL(sysinfo)
{
	struct swap_figures swap = swap_figures();
	struct sysinfo info = {
		.uptime = (s64)(ktime_ns() / NSEC_PER_SEC),
		.totalram = nr_managed_pages() * PAGE_SIZE,
		.freeram = nr_free_pages() * PAGE_SIZE,
		.sharedram = nr_shmem_pages() * PAGE_SIZE,
		.totalswap = swap.total * PAGE_SIZE,
		.freeswap = (swap.total - swap.used) * PAGE_SIZE,
		.procs = (u16)nr_tasks(),
		.mem_unit = 1,
	};

	return copy_to_user(a0, &info, sizeof(info)) ? -EFAULT : 0;
}

/* ---- Other calls ------------------------------------------------------------------------------------------------- */

/* Only the default execution domain exists. Reading it (0xffffffff) and setting it again succeed. */
SYSCALL(personality)
{
	u32 wanted = (u32)a0;

	return wanted == 0xffffffff || wanted == 0 ? 0 : -EINVAL;
}

#define REBOOT_MAGIC1 0xfee1dead
#define REBOOT_CMD_RESTART 0x01234567
#define REBOOT_CMD_HALT 0xcdef0123
#define REBOOT_CMD_POWER_OFF 0x4321fedc
#define REBOOT_CMD_CAD_OFF 0
#define REBOOT_CMD_CAD_ON 0x89abcdef

static bool reboot_magic_ok(u32 magic1, u32 magic2)
{
	return magic1 == REBOOT_MAGIC1 &&
	       (magic2 == 672274793 || magic2 == 85072278 || magic2 == 369367448 || magic2 == 537993216);
}

/*
 * Ends the first process, at whose end the machine powers off, so that each shut-down is checked for leaks. As on
 * Linux, the call does not return to its caller; the first process exits on its way out of this call.
 */
SYSCALL(reboot)
{
	if (!process_is_privileged(current->process))
		return -EPERM;
	if (!reboot_magic_ok((u32)a0, (u32)a1))
		return -EINVAL;
	switch ((u32)a2) {
	case REBOOT_CMD_CAD_OFF:
	case REBOOT_CMD_CAD_ON:
		return 0;
	case REBOOT_CMD_RESTART:
	case REBOOT_CMD_HALT:
	case REBOOT_CMD_POWER_OFF:
		machine_end();
		while (!thread_killed()) {
			thread_prepare_sleep(SLEEP_KILLABLE);
			if (!thread_killed())
				thread_sleep();
			thread_cancel_sleep();
		}
		return 0;
	default:
		return -EINVAL;
	}
}
