/* SPDX-License-Identifier: MIT */
/* Iterators over the buffers of a read or write. Takes no lock. */
#include "kernel/fs/iov.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

static void iov_init(struct iov_iter *iter, struct iovec *iov, u64 base, size_t len)
{
	*iov = (struct iovec){ base, len };
	*iter = (struct iov_iter){ .iov = iov, .nr_segs = 1, .count = len };
}

void iov_init_user(struct iov_iter *iter, struct iovec *iov, u64 base, size_t len)
{
	iov_init(iter, iov, base, len);
}

void iov_init_kernel(struct iov_iter *iter, struct iovec *iov, void *base, size_t len)
{
	iov_init(iter, iov, (u64)base, len);
	iter->kernel = true;
}

/* Checks the segments as Linux does, and limits their total to what one call may transfer. */
static int iov_check(struct iov_iter *iter, struct iovec *iov, size_t nr)
{
	size_t total = 0;

	for (size_t i = 0; i < nr; i++) {
		if ((s64)iov[i].len < 0)
			return -EINVAL;
		if (!access_ok(iov[i].base, iov[i].len))
			return -EFAULT;
		iov[i].len = min(iov[i].len, MAX_RW_COUNT - total);
		total += iov[i].len;
	}
	*iter = (struct iov_iter){ .iov = iov, .nr_segs = nr, .count = total };
	return 0;
}

int iov_import(struct iov_iter *iter, u64 uvec, u64 nr, struct iovec *fast, struct iovec **allocated)
{
	struct iovec *iov = fast;
	int ret;

	*allocated = NULL;
	if (nr > UIO_MAXIOV)
		return -EINVAL;
	if (nr > UIO_FASTIOV) {
		iov = *allocated = kmalloc(nr * sizeof(*iov), ALLOC_WAIT);
		if (!iov)
			return -ENOMEM;
	}
	ret = copy_from_user(iov, uvec, nr * sizeof(*iov)) ? -EFAULT : iov_check(iter, iov, nr);
	if (ret) {
		kfree(*allocated);
		*allocated = NULL;
	}
	return ret;
}

static void iov_advance(struct iov_iter *iter, size_t n)
{
	iter->count -= n;
	iter->offset += n;
	while (iter->nr_segs && iter->offset >= iter->iov->len) {
		iter->offset -= iter->iov->len;
		iter->iov++;
		iter->nr_segs--;
	}
}

void iov_revert(struct iov_iter *iter, size_t n)
{
	iter->count += n;
	while (n > iter->offset) {
		n -= iter->offset;
		iter->iov--;
		iter->nr_segs++;
		iter->offset = iter->iov->len;
	}
	iter->offset -= n;
}

enum iov_direction { IOV_TO, IOV_FROM, IOV_FROM_NOFAULT, IOV_ZERO };

/* Moves n bytes that lie in one segment. Returns the number of bytes moved. */
static size_t iov_move_one(struct iov_iter *iter, u8 *kernel, size_t n, enum iov_direction direction)
{
	u64 addr = iter->iov->base + iter->offset;

	if (iter->kernel) {
		if (direction == IOV_TO)
			memcpy((void *)addr, kernel, n);
		else if (direction == IOV_FROM || direction == IOV_FROM_NOFAULT)
			memcpy(kernel, (void *)addr, n);
		else
			memset((void *)addr, 0, n);
		return n;
	}
	if (direction == IOV_TO)
		return n - copy_to_user(addr, kernel, n);
	if (direction == IOV_FROM)
		return n - copy_from_user(kernel, addr, n);
	if (direction == IOV_FROM_NOFAULT)
		return n - copy_from_user_nofault(kernel, addr, n);
	return n - clear_user(addr, n);
}

static size_t iov_move(struct iov_iter *iter, u8 *kernel, size_t n, enum iov_direction direction)
{
	size_t done = 0;

	n = min(n, iter->count);
	iov_advance(iter, 0); /* skips empty segments */
	while (done < n) {
		size_t part = min(n - done, iter->iov->len - iter->offset);
		size_t moved = iov_move_one(iter, kernel ? kernel + done : NULL, part, direction);

		iov_advance(iter, moved);
		done += moved;
		if (moved < part)
			break;
	}
	return done;
}

size_t iov_copy_to(struct iov_iter *iter, const void *src, size_t n)
{
	assert_no_lock_from(RANK_MMAP_LOCK);
	return iov_move(iter, (u8 *)src, n, IOV_TO);
}

size_t iov_copy_from(struct iov_iter *iter, void *dst, size_t n)
{
	assert_no_lock_from(RANK_MMAP_LOCK);
	return iov_move(iter, dst, n, IOV_FROM);
}

size_t iov_zero(struct iov_iter *iter, size_t n)
{
	assert_no_lock_from(RANK_MMAP_LOCK);
	return iov_move(iter, NULL, n, IOV_ZERO);
}

size_t iov_copy_from_nofault(struct iov_iter *iter, void *dst, size_t n)
{
	return iov_move(iter, dst, n, IOV_FROM_NOFAULT);
}

bool iov_fault_in(struct iov_iter *iter)
{
	assert_may_sleep();
	iov_advance(iter, 0);
	return iter->kernel || !user_fault_in_readable(iter->iov->base + iter->offset);
}
