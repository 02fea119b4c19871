/* SPDX-License-Identifier: MIT */
/*
 * What the rest of the kernel asks of the page-fault code: resolve this access. How that is done is in mm/fault/.
 */
#ifndef MM_FAULT_H
#define MM_FAULT_H

#include "kernel/lib/base.h"

struct mm;
struct vma_ops;

enum fault_access {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_EXEC,
};

enum fault_flag {
	FAULT_USER = 1,	    /* user mode faulted; otherwise the kernel did */
	FAULT_TRIED = 2,    /* this strategy has dropped its lock and waited once already */
	FAULT_NO_RETRY = 4, /* no lock may be dropped: a fault that waits keeps its lock */
	FAULT_NO_WAIT = 8,  /* ... nor may it wait for a page or a request: it answers "would block" (fault_sleep.h) */
	FAULT_UACCESS = 16, /* the kernel faulted while copying to or from the memory of the program that it runs for */
};
/*
 * An access by the running thread itself. Only such an access grows a stack: not another thread's (process_vm_readv),
 * and not a fault that the kernel makes up (populate, swapoff, a futex's address), as in Linux's faultin_page() and
 * fixup_user_fault(). So a caller that passes neither flag grows no stack.
 */
#define FAULT_OWN (FAULT_USER | FAULT_UACCESS)

/* The result of fault_in(). fault_signal() is the one place that maps it to a signal. */
enum fault_answer {
	FAULT_DONE,	     /* the access will succeed, or it faults again and that fault decides */
	FAULT_NO_MAPPING,    /* SIGSEGV, SEGV_MAPERR: no VMA covers the address, and no stack may grow to it */
	FAULT_NO_ACCESS,     /* SIGSEGV, SEGV_ACCERR: the VMA does not permit the access */
	FAULT_NO_KEY,	     /* SIGSEGV, SEGV_PKUERR: the thread's rights to the VMA's protection key forbid it */
	FAULT_NO_PROGRESS,   /* SIGSEGV, SEGV_ACCERR: the entry permits the access, yet it faults again and again */
	FAULT_BEYOND_END,    /* SIGBUS, BUS_ADRERR: beyond the end of the object, or the object has no pages to give */
	FAULT_IO_ERROR,	     /* SIGBUS, BUS_ADRERR: the page could not be read, or not be made writable */
	FAULT_OUT_OF_MEMORY, /* out of memory: the caller may reclaim some, or have a process killed, and retry */
	FAULT_WOULD_BLOCK,   /* the fault must wait for a page or a request, and the caller passed FAULT_NO_WAIT */
	FAULT_KILLED,	     /* a fatal signal is pending; nothing was done */
};

/*
 * Resolves one fault.
 * @mm: whose memory it is; not necessarily the current thread's.
 * @addr: any byte of the page.
 * @flags: enum fault_flag.
 *
 * Context: no lock from RANK_MMAP_LOCK on held; interrupts on. Sleeps.
 * Returns: FAULT_DONE, or why the access cannot succeed.
 */
enum fault_answer fault_in(struct mm *mm, vaddr_t addr, enum fault_access access, unsigned flags);

/*
 * Swaps in the page of addr, whatever its VMA permits, if it is in swap; otherwise does nothing: for swapoff, and for
 * readers that may see all memory (FOLL_FORCE).
 *
 * Context: no lock from RANK_MMAP_LOCK on held; interrupts on. Sleeps.
 * Returns: as fault_in().
 */
enum fault_answer fault_swap_in(struct mm *mm, vaddr_t addr);

/* The signal and si_code of an answer. Returns false if the answer is no signal. */
struct fault_signal {
	int signo, code;
};
/* The signal and si_code of an answer. Context: any. Returns: false if the answer is no signal. */
bool fault_signal(enum fault_answer answer, struct fault_signal *sig);

/* The operations of VMAs that show a mapping: SIGBUS beyond the size; a hole is filled with zeros. */
extern const struct vma_ops mapping_vma_ops; /* a file's pages */
extern const struct vma_ops shared_anon_ops; /* MAP_SHARED | MAP_ANONYMOUS: maps shows "/dev/zero (deleted)" */

#endif
