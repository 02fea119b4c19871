/* SPDX-License-Identifier: MIT */
/* Interface of System V shared memory for the shut-down. */
#ifndef KERNEL_SYSV_SHM_H
#define KERNEL_SYSV_SHM_H

/*
 * Drops the references of all segments that no process has removed. For the shut-down, when no process is left and no
 * RCU call-back is pending. Sleeps.
 */
void sysv_shm_quiet_release(void);

#endif
