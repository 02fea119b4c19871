/* SPDX-License-Identifier: MIT */
/* clone3: clone with an extensible structure of arguments. Takes no locks; fork.c does the work. */
#include "kernel/lib/errno.h"
#include "kernel/process/clone.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

/* Linux's struct clone_args. */
struct user_clone_args {
	u64 flags;
	u64 pidfd;
	u64 child_tid;
	u64 parent_tid;
	u64 exit_signal;
	u64 stack; /* its lowest address */
	u64 stack_size;
	u64 tls;
	u64 set_tid;
	u64 set_tid_size;
	u64 cgroup;
};

#define SIZE_OF_VERSION_0 64UL
#define MAX_SET_TID 32UL

/* A newer program may pass a larger structure if all unknown bytes are zero. Mirrors copy_struct_from_user(). */
static int copy_args(struct user_clone_args *args, vaddr_t addr, u64 size)
{
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < SIZE_OF_VERSION_0)
		return -EINVAL;
	for (u64 at = sizeof(*args); at < size; at++) {
		u8 byte;

		if (get_user(&byte, addr + at))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	*args = (struct user_clone_args){ 0 };
	return copy_from_user(args, addr, min(size, sizeof(*args))) ? -EFAULT : 0;
}

static int check_args(const struct user_clone_args *args)
{
	/* Only containers choose thread ids and cgroups, and there are none. */
	if (args->set_tid || args->set_tid_size)
		return args->set_tid_size > MAX_SET_TID || !args->set_tid != !args->set_tid_size ? -EINVAL : -EPERM;
	if (args->flags & ~(CLONE_CLEAR_SIGHAND | 0xffffffffUL))
		return -EINVAL;
	if (args->flags & (CLONE_DETACHED | CSIGNAL)) /* one bit of CSIGNAL is CLONE_NEWTIME: a namespace */
		return -EINVAL;
	if ((args->flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND)) == (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if (args->exit_signal > NSIG || ((args->flags & (CLONE_THREAD | CLONE_PARENT)) && args->exit_signal))
		return -EINVAL;
	if (!args->stack != !args->stack_size || (args->stack && !access_ok(args->stack, args->stack_size)))
		return -EINVAL;
	return 0;
}

SYSCALL(clone3)
{
	struct user_clone_args args;
	int error = copy_args(&args, a0, a1);

	if (!error)
		error = check_args(&args);
	if (error)
		return error;
	return do_clone(&(struct clone_request){
		.flags = args.flags,
		.exit_signal = (int)args.exit_signal,
		.stack = args.stack + args.stack_size,
		.parent_tid = args.parent_tid,
		.child_tid = args.child_tid,
		.pidfd = args.pidfd,
		.tls = args.tls,
	});
}
