/* SPDX-License-Identifier: MIT */
/*
 * Copies the changes in /share to the host (the word `share` on the command line; tools/faultline --share). When the
 * machine ends, everything that has changed there since the boot module was unpacked goes to a debug console port of
 * its own.
 *
 * The output is a cpio archive (cpio.h). Like the upper layer of an overlay (Linux: overlayfs.rst), it holds what
 * differs from that part of the boot module: each directory, regular file and symbolic link that is new or has changed,
 * with names relative to /share, which is "." itself; and, before those, a character device 0:0 for each name that is
 * gone. A file with several names is written in full under each of them, with one inode number.
 */
#ifndef KERNEL_FS_SHARE_H
#define KERNEL_FS_SHARE_H

#include "kernel/fs/inode.h"

/*
 * Notes the entry of the boot module from which an inode was made; the entry must stay where it is. Context: only the
 * caller knows the inode, or there is no process.
 */
void share_note(struct inode *inode, const void *header);
/* Writes the archive at shut-down, when no process is left. Allocates no memory; sleeps. Takes fs_tree_lock. */
void share_copy_out(void);

#endif
