/* SPDX-License-Identifier: MIT */
/*
 * What mm/ asks of the rest of the kernel beside the CPU (mm/machine.h): open files, and the OOM killer. The kernel
 * implements it in kernel/fs/file.c and kernel/oom.c, the simulated machine in tests/host/.
 */
#ifndef MM_SERVICES_H
#define MM_SERVICES_H

#include "kernel/lib/base.h"

struct file;

/* The references to files that VMAs hold. Context: thread. Sleep only when the last reference to a file goes. */
void vma_file_get(struct file *file);
void vma_file_put(struct file *file);
/*
 * Writes back pages [first, last] of the file and waits.
 *
 * Context: no lock from RANK_MMAP_LOCK on held. Sleeps.
 * Returns: 0; -EIO once for each error.
 */
long vma_file_sync(struct file *file, u64 first, u64 last);
/*
 * As fallocate() with FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE.
 * @offset, @len: bytes.
 *
 * Context: no lock from RANK_MMAP_LOCK on held. Sleeps.
 * Returns: 0 or -errno.
 */
long vma_file_punch_hole(struct file *file, u64 offset, u64 len);

/*
 * For a caller that finds no free memory and nothing to reclaim: has a process killed and waits until memory may be
 * free.
 *
 * Context: no lock from RANK_RECLAIM on held. Sleeps.
 * Returns: true if the caller should retry; false if the calling thread is dying or no process is left to kill.
 */
bool out_of_memory(void);

#endif
