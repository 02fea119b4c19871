/* SPDX-License-Identifier: MIT */
/* The kernel thread that makes room in advance. */
#ifndef KERNEL_KSWAPD_H
#define KERNEL_KSWAPD_H

/* Boot, and the end: nothing makes room by itself before and afterwards. Sleep. */
void kswapd_start(void);
void kswapd_stop(void);

#endif
