/* SPDX-License-Identifier: MIT */
/* Interface of the kernel thread that reclaims pages in the background. */
#ifndef KERNEL_KSWAPD_H
#define KERNEL_KSWAPD_H

/* Start (at boot) and stop (at shut-down) the background reclaim. Sleep. */
void kswapd_start(void);
void kswapd_stop(void);

#endif
