/* SPDX-License-Identifier: MIT */
/* System V shared memory, as far as others must know of it: the end. */
#ifndef KERNEL_SYSV_SHM_H
#define KERNEL_SYSV_SHM_H

/* Shut-down, when no process is left and RCU has come to rest: lets go of the segments that nobody has removed. Sleeps. */
void sysv_shm_quiet_release(void);

#endif
