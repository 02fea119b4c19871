/* SPDX-License-Identifier: MIT */
/*
 * The basic definitions that all files of the kernel and the host build share: integer and address types, atomic memory
 * access, small helpers. Depends on nothing but the compiler's freestanding headers.
 */
#ifndef KERNEL_BASE_H
#define KERNEL_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 paddr_t; /* a physical address, in bytes */
typedef u64 vaddr_t; /* a user virtual address, in bytes; never dereferenced directly */
typedef u64 pfn_t;   /* a physical page frame number: paddr >> PAGE_SHIFT */

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define MAX_CPUS 64
#define CACHE_LINE 64

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define __cacheline_aligned __attribute__((aligned(CACHE_LINE)))
#define __noinline __attribute__((noinline))
#ifndef __always_inline /* the host's C library has it, too */
#define __always_inline inline __attribute__((always_inline))
#endif
#define __noreturn __attribute__((noreturn))
#define __printf(fmt, args) __attribute__((format(printf, fmt, args)))
#define __must_check __attribute__((warn_unused_result))
#define __maybe_unused __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define align_down(x, a) ((x) & ~((typeof(x))(a)-1))
#define align_up(x, a) (((x) + ((typeof(x))(a)-1)) & ~((typeof(x))(a)-1))
#define min(a, b)                                                                                                      \
	({                                                                                                             \
		typeof(a) _min_a = (a);                                                                                \
		typeof(b) _min_b = (b);                                                                                \
		_min_a < _min_b ? _min_a : _min_b;                                                                     \
	})
#define max(a, b)                                                                                                      \
	({                                                                                                             \
		typeof(a) _max_a = (a);                                                                                \
		typeof(b) _max_b = (b);                                                                                \
		_max_a > _max_b ? _max_a : _max_b;                                                                     \
	})

/*
 * For all data that another CPU may read or write without a common lock. These are the compiler's atomics, so that
 * ThreadSanitizer understands them; order comes from acquire and release, never from a stand-alone fence.
 */
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define atomic_add_return(p, n) __atomic_add_fetch((p), (n), __ATOMIC_SEQ_CST)
#define atomic_fetch_add(p, n) __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define atomic_inc(p) ((void)__atomic_add_fetch((p), 1, __ATOMIC_RELAXED))
#define atomic_dec_return(p) __atomic_sub_fetch((p), 1, __ATOMIC_ACQ_REL)
#define atomic_xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define atomic_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define atomic_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
/* Compare and exchange: true when *p held `old` and now holds `new`. */
#define atomic_cas(p, old, new)                                                                                        \
	({                                                                                                             \
		typeof(*(p)) _cas_old = (old);                                                                         \
		__atomic_compare_exchange_n((p), &_cas_old, (new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);         \
	})

/* A pointer that holds a negative errno instead of an address, like Linux's ERR_PTR. */
static inline void *err_ptr(long error)
{
	return (void *)error;
}

static inline long ptr_err(const void *ptr)
{
	return (long)ptr;
}

static inline bool is_err(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-4095L;
}

#endif
