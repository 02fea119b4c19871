/* SPDX-License-Identifier: MIT */
/* When memory is out. */
#ifndef KERNEL_OOM_H
#define KERNEL_OOM_H

/* Kills the process with the largest resident set; it may be the current one. Sleeps; the caller then tries again. */
void oom_kill(void);

#endif
