/* SPDX-License-Identifier: MIT */
/*
 * clone, fork and vfork: creation of a new thread or process from the current one.
 *
 * Everything that may fail happens before the child gets a number and can be found; abandon() undoes it. Locks:
 * process_tree_lock, then process->lock, for the moment the child becomes visible.
 */
#include "kernel/fs/files.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/clone.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "kernel/x86/xsave.h"
#include "mm/calls/mmap.h"
#include "mm/vma/mm.h"

/* On the stack of a parent that waits until its vfork child leaves the address space. */
struct vfork {
	struct wait_queue queue;
	bool done;
};

static int check_flags(const struct clone_request *request)
{
	u64 flags = request->flags;

	if (flags & CLONE_NAMESPACES)
		return -EINVAL;
	if ((flags & CLONE_PIDFD) && (flags & (CLONE_THREAD | CLONE_DETACHED)))
		return -EINVAL;
	if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
		return -EINVAL;
	if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
		return -EINVAL;
	if ((flags & CLONE_PARENT) && current->process == init_process)
		return -EINVAL;
	if ((flags & CLONE_SETTLS) && request->tls >= USER_END)
		return -EPERM;
	return 0;
}

/* ---- Copying ----------------------------------------------------------------------------------------------------- */

static void copy_task(struct task *child, const struct clone_request *request)
{
	struct task *parent = current;
	u64 flags = request->flags;

	save_user_segments(parent);
	child->selectors = parent->selectors;
	child->fs_base = parent->fs_base;
	if (flags & CLONE_SETTLS) {
		child->selectors.fs = 0;
		child->fs_base = request->tls;
	}
	child->gs_base = parent->gs_base;
	child->affinity = parent->affinity;
	child->nice = parent->nice;
	child->blocked = parent->blocked;
	if (!(flags & CLONE_VM) || (flags & CLONE_VFORK))
		child->altstack = parent->altstack;
	memcpy(child->comm, parent->comm, TASK_COMM_LEN);
	if (flags & CLONE_CHILD_SETTID)
		child->set_child_tid = request->child_tid;
	if (flags & CLONE_CHILD_CLEARTID)
		child->clear_child_tid = request->child_tid;
}

static void copy_registers(struct task *child, const struct clone_request *request)
{
	struct trap_frame *frame = task_frame(child);
	unsigned long flags = irq_save();

	xstate_save(child->fpu); /* this CPU's registers are the parent's */
	irq_restore(flags);
	*frame = *task_frame(current);
	frame->rax = 0;
	if (request->stack)
		frame->rsp = request->stack;
}

static int copy_mm(struct task *child, u64 flags)
{
	struct mm *parent = current->mm;
	struct mm *mm;
	int error;

	if (flags & CLONE_VM) {
		mmget(parent);
		child->mm = parent;
		return 0;
	}
	mm = mm_create();
	if (!mm)
		return -ENOMEM;
	error = mm_fork(mm, parent);
	if (error)
		mmput(mm);
	else
		child->mm = mm;
	return error;
}

static int copy_files(struct task *child, u64 flags)
{
	struct task *parent = current;

	child->files = flags & CLONE_FILES ? files_get(parent->files) : files_dup(parent->files);
	child->fs = flags & CLONE_FS ? fs_context_get(parent->fs) : fs_context_dup(parent->fs);
	return child->files && child->fs ? 0 : -ENOMEM;
}

static struct sighand *copy_sighand(u64 flags)
{
	struct sighand *sighand = current->process->sighand;

	if (!(flags & CLONE_SIGHAND))
		return sighand_copy(sighand);
	atomic_inc(&sighand->refs);
	return sighand;
}

static int fork_make_process(struct task *child, const struct clone_request *request)
{
	struct process *parent = current->process, *process;

	if (request->flags & CLONE_THREAD) {
		process_get(parent);
		child->process = parent;
		return 0;
	}
	process = process_alloc();
	if (!process)
		return -ENOMEM;
	child->process = process; /* its one reference */
	process->sighand = copy_sighand(request->flags);
	if (process->sighand && (request->flags & CLONE_CLEAR_SIGHAND))
		sighand_reset(process->sighand);
	memcpy(process->rlimit, parent->rlimit, sizeof(process->rlimit));
	process->users = parent->users;
	process->oom_score_adj = parent->oom_score_adj;
	process->no_dump = parent->no_dump;
	process->no_new_privs = parent->no_new_privs;
	process->membarrier = parent->membarrier;
	process->exit_signal = request->exit_signal <= NSIG ? request->exit_signal : 0;
	return process->sighand ? 0 : -ENOMEM;
}

/* Undoes the creation of a child that was not visible yet. */
static void abandon(struct task *child)
{
	struct process *process = child->process;

	if (child->mm)
		mmput(child->mm);
	if (child->files)
		files_put(child->files);
	if (child->fs)
		fs_context_put(child->fs);
	if (process && process != current->process && process->sighand)
		sighand_put(process->sighand);
	child->mm = NULL;
	task_put(child);
}

static int copy_all(struct task *child, const struct clone_request *request)
{
	int error = fork_make_process(child, request);

	if (!error)
		error = copy_files(child, request->flags);
	if (!error)
		error = copy_mm(child, request->flags);
	if (error)
		return error;
	copy_task(child, request);
	copy_registers(child, request);
	return 0;
}

/* ---- Making the child visible ------------------------------------------------------------------------------------ */

/* Linux's max_threads: kernel stacks may take an eighth of memory. */
static bool too_many_tasks(void)
{
	return nr_tasks() >= max(20UL, nr_managed_pages() / (8 * 4));
}

/* => process_tree_lock held. */
static void join_tree(struct process *process, u64 flags)
{
	struct process *self = current->process;

	assert_spin_held(&process_tree_lock);
	process->parent = flags & CLONE_PARENT ? self->parent : self;
	if (flags & CLONE_PARENT)
		process->exit_signal = self->exit_signal;
	process_get(process->parent);
	process_get(process); /* for being in the tree */
	process_set_group(process, self->pgid);
	process_set_session(process, self->sid);
	process->tty = self->tty;
	list_add_tail(&process->parent->children, &process->sibling);
	list_add_tail(&all_processes, &process->all_link);
}

/*
 * Numbers the child and adds it to its process, and a new process to the tree. A signal that arrives before the child
 * is visible must reach both or be handled first. => process_tree_lock held.
 */
static int appear(struct task *child, u64 flags)
{
	struct process *self = current->process, *process = child->process;
	unsigned long irqs = spin_lock_irqsave(&self->lock);
	int error = 0;

	assert_spin_held(&process_tree_lock);
	if (self->group_exit || thread_killed() || ((flags & CLONE_THREAD) && self->exec_task))
		error = -EINTR;
	else if (!(flags & CLONE_THREAD) && signal_pending())
		error = -ERESTARTNOINTR;
	else
		error = task_number(child, flags & CLONE_THREAD ? NULL : process);
	if (!error) {
		list_add_tail(&process->threads, &child->thread_link);
		process->nr_threads++;
		if (flags & CLONE_THREAD)
			signal_recalculate(child);
	}
	spin_unlock_irqrestore(&self->lock, irqs);
	if (!error && !(flags & CLONE_THREAD))
		join_tree(process, flags);
	return error;
}

/* The first function that the child runs. */
static void child_starts(void *arg __maybe_unused)
{
	struct task *task = current;

	if (task->set_child_tid)
		(void)!put_user(task->tid, task->set_child_tid); /* as for the parent's */
	enter_user_mode();
}

static void wait_for_vfork(struct task *child, struct vfork *vfork)
{
	int error = wait_event_killable(&vfork->queue, READ_ONCE(vfork->done));

	spin_lock(&process_tree_lock);
	if (error && child->vfork == vfork)
		child->vfork = NULL;
	spin_unlock(&process_tree_lock);
}

/* Holds the lock to the end, so that the vfork structure on the parent's stack stays valid while it is used. */
void vfork_release(struct task *task)
{
	struct vfork *vfork;

	if (!READ_ONCE(task->vfork))
		return;
	spin_lock(&process_tree_lock);
	vfork = task->vfork;
	task->vfork = NULL;
	if (vfork) {
		WRITE_ONCE(vfork->done, true);
		wake_up_all(&vfork->queue);
	}
	spin_unlock(&process_tree_lock);
}

/*
 * Reserves a descriptor for the child and writes its number to user memory; no one can find it before the child is
 * visible.
 */
static int reserve_pidfd(const struct clone_request *request, struct task *child, struct file **file)
{
	int fd;

	*file = NULL;
	if (!(request->flags & CLONE_PIDFD))
		return 0;
	fd = fd_reserve(0, O_CLOEXEC);
	if (fd < 0)
		return fd;
	*file = pidfd_file(child->process, 0);
	if (is_err(*file) || put_user(fd, request->pidfd)) {
		int error = is_err(*file) ? (int)ptr_err(*file) : -EFAULT;

		if (!is_err(*file))
			file_put(*file);
		fd_unreserve(fd);
		return error;
	}
	return fd;
}

/* Numbers the child and adds it to the tree, or fails and leaves nothing behind. */
static int child_appears(const struct clone_request *request, struct task *child)
{
	struct file *pidfd;
	int fd = reserve_pidfd(request, child, &pidfd), error;

	if (fd < 0)
		return fd;
	spin_lock(&process_tree_lock);
	error = appear(child, request->flags);
	spin_unlock(&process_tree_lock);
	if (pidfd && !error) {
		fd_install(fd, pidfd);
	} else if (pidfd) {
		fd_unreserve(fd);
		file_put(pidfd);
	}
	return error;
}

static long clone_once(const struct clone_request *request)
{
	struct vfork vfork = { .done = false };
	struct task *child;
	int error = check_flags(request);
	s32 tid;

	if (error)
		return error;
	child = too_many_tasks() ? NULL : task_alloc();
	if (!child)
		return -EAGAIN;
	error = copy_all(child, request);
	if (!error) {
		task_prepare_kernel(child, child_starts, NULL);
		wait_queue_init(&vfork.queue);
		if (request->flags & CLONE_VFORK)
			child->vfork = &vfork;
		error = child_appears(request, child);
	}
	if (error) {
		abandon(child);
		return error;
	}
	tid = child->tid;
	task_get(child);
	if (request->flags & CLONE_PARENT_SETTID)
		(void)!put_user(tid, request->parent_tid); /* as on Linux, a bad address is the program's own fault */
	sched_start(child);
	if (request->flags & CLONE_VFORK)
		wait_for_vfork(child, &vfork);
	task_put(child);
	return tid;
}

/* The memory of dead tasks is freed only after a grace period: waits for one before clone fails for lack of it. */
long do_clone(const struct clone_request *request)
{
	long answer = clone_once(request);

	assert_may_sleep();
	if (answer != -ENOMEM && answer != -EAGAIN)
		return answer;
	rcu_barrier();
	return clone_once(request);
}

/* clone has a single argument for two pointers, so the flags exclude each other. */
SYSCALL(clone)
{
	struct clone_request request = {
		.flags = a0 & ~CSIGNAL & 0xffffffffUL,
		.exit_signal = (int)(a0 & CSIGNAL),
		.stack = a1,
		.parent_tid = a2,
		.pidfd = a2,
		.child_tid = a3,
		.tls = a4,
	};

	if ((a0 & CLONE_PIDFD) && (a0 & CLONE_PARENT_SETTID))
		return -EINVAL;
	return do_clone(&request);
}

SYSCALL(fork)
{
	struct clone_request request = { .exit_signal = SIGCHLD };

	return do_clone(&request);
}

SYSCALL(vfork)
{
	struct clone_request request = { .flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD };

	return do_clone(&request);
}

SYSCALL(set_tid_address)
{
	current->clear_child_tid = a0;
	return current->tid;
}
