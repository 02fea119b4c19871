/* SPDX-License-Identifier: MIT */
/*
 * Iterators over the buffers of a read or write: a list of user buffers, or one kernel buffer. File implementations see
 * only these, so that read, readv, pread, sendfile and the ELF loader share their code.
 */
#ifndef KERNEL_FS_IOV_H
#define KERNEL_FS_IOV_H

#include "kernel/lib/base.h"

#define UIO_MAXIOV 1024
#define MAX_RW_COUNT 0x7ffff000UL /* Linux transfers at most this much in one call */

struct iovec {
	u64 base; /* a user address (or a kernel address, see iov_iter.kernel) */
	u64 len;  /* bytes */
};

struct iov_iter {
	const struct iovec *iov; /* the segment in use */
	size_t nr_segs;		 /* left, including this one */
	size_t offset;		 /* bytes of it already used */
	size_t count;		 /* bytes left in all segments */
	bool kernel;		 /* the addresses are the kernel's own */
	bool no_append;		 /* write at the given position, even with O_APPEND */
};

/* Initialise an iterator over one buffer. `iov` must live as long as the iterator. */
void iov_init_user(struct iov_iter *iter, struct iovec *iov, u64 base, size_t len);
void iov_init_kernel(struct iov_iter *iter, struct iovec *iov, void *base, size_t len);
/*
 * Reads nr iovecs at user address `uvec`. `fast` holds up to UIO_FASTIOV of them; for more, an array is allocated, and
 * the caller kfree()s *allocated in the end. Returns 0, -EINVAL, -EFAULT or -ENOMEM. Sleeps.
 */
#define UIO_FASTIOV 8
int iov_import(struct iov_iter *iter, u64 uvec, u64 nr, struct iovec *fast, struct iovec **allocated);

/*
 * Move up to n bytes and advance. Return the number of bytes moved, which is less than n (and than the bytes left) only
 * if a user address faulted. They may fault. Sleep. => no lock from RANK_MMAP_LOCK on held.
 */
size_t iov_copy_to(struct iov_iter *iter, const void *src, size_t n);
size_t iov_copy_from(struct iov_iter *iter, void *dst, size_t n);
size_t iov_zero(struct iov_iter *iter, size_t n);
/* As iov_copy_from(), but stops at a page that is not present, so it may be called under locks. Does not sleep. */
size_t iov_copy_from_nofault(struct iov_iter *iter, void *dst, size_t n);
/* Faults in the page of the next byte. Returns false if there is none. Sleeps. */
bool iov_fault_in(struct iov_iter *iter);
/* Moves the iterator back by n bytes. */
void iov_revert(struct iov_iter *iter, size_t n);

#endif
