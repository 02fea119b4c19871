/* SPDX-License-Identifier: MIT */
/*
 * The word `share` on the command line (tools/faultline --share): what has changed in /share since the boot module was unpacked
 * goes to the host when the machine ends, on a debug console port of its own.
 *
 * It is a cpio archive (cpio.h) and, as the upper layer of an overlay (Linux: overlayfs.rst), has what is to be put over that part
 * of the boot module: each directory, regular file and symbolic link that is new or has changed, names counted from /share, which
 * is "." itself; and for each name that is gone a character device 0:0. Those come first. A file with several names comes
 * with each, whole, under one inode number.
 */
#ifndef KERNEL_FS_SHARE_H
#define KERNEL_FS_SHARE_H

#include "kernel/fs/inode.h"

/*
 * An inode was made of that entry of the boot module, which stays where it is. Before anybody else knows the inode, or while there
 * is no process.
 */
void share_note(struct inode *inode, const void *header);
/* Shut-down, when no process is left. Needs no memory; sleeps. Takes fs_tree_lock. */
void share_copy_out(void);

#endif
