/* SPDX-License-Identifier: MIT */
/* When memory is out. */
#ifndef KERNEL_OOM_H
#define KERNEL_OOM_H

/*
 * Makes room: by reclaim, or by killing the process with the largest resident set, which may be the current one. Sleeps; the
 * caller, who holds nothing, then tries again.
 */
void oom_kill(void);

#endif
