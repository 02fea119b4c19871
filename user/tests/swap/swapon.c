/* SPDX-License-Identifier: MIT */
/*
 * A swapon that accepts -p PRIORITY, which Debian's BusyBox does not. The areas of the highest priority are used first.
 * Any other command line is passed on to BusyBox. /etc/profile makes this program the shell's swapon.
 */
#include "user/lib/faultline.h"

#include <sys/swap.h>

static int usage(void)
{
	fprintf(stderr, "usage: swapon -p PRIORITY FILE...\nPRIORITY is 0 to %d; the highest is used first.\n",
		SWAP_FLAG_PRIO_MASK);
	return 1;
}

static int swap_to(char **files, int priority)
{
	int status = 0;

	for (; *files; files++)
		if (swapon(*files, SWAP_FLAG_PREFER | priority)) {
			fprintf(stderr, "swapon: %s: %s\n", *files, strerror(errno));
			status = 1;
		}
	return status;
}

int main(int argc, char **argv)
{
	unsigned long priority;
	char *end;

	if (argc < 2 || strcmp(argv[1], "-p") != 0) {
		argv[0] = "swapon";
		execv("/bin/busybox", argv);
		fprintf(stderr, "swapon: no /bin/busybox: %s\n", strerror(errno));
		return 1;
	}
	if (argc < 4 || argv[2][0] < '0' || argv[2][0] > '9')
		return usage();
	priority = strtoul(argv[2], &end, 10);
	return *end || priority > SWAP_FLAG_PRIO_MASK ? usage() : swap_to(argv + 3, (int)priority);
}
