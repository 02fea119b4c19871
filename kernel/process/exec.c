/* SPDX-License-Identifier: MIT */
/*
 * execve: the replacement of the current process's program.
 *
 * The new address space is built completely, strings and all, while the old one is kept: the current task runs on the
 * new one (so ordinary user copies fill it), other threads on the old one. A failure up to then is undone. The point of
 * no return is the death of the other threads.
 */
#include "kernel/process/exec.h"

#include "kernel/boot_info.h"
#include "kernel/fs/files.h"
#include "kernel/fs/namei.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "kernel/x86/xsave.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"

#define MAX_INTERPRETERS 5
#define MAX_STRINGS_BYTES (6UL << 20)
#define MIN_STRINGS_BYTES (128UL << 10)

/* ---- Strings ----------------------------------------------------------------------------------------------------- */

static int strings_grow(struct strings *strings)
{
	char *page;

	if (!strings->pages) {
		strings->max_pages = MAX_STRINGS_BYTES / PAGE_SIZE;
		strings->pages = kmalloc(strings->max_pages * sizeof(*strings->pages), ALLOC_ZERO | ALLOC_WAIT);
		if (!strings->pages)
			return -ENOMEM;
	}
	if (strings->nr_pages == strings->max_pages)
		return -E2BIG;
	page = kmalloc(PAGE_SIZE, ALLOC_WAIT);
	if (!page)
		return -ENOMEM;
	strings->pages[strings->nr_pages++] = page;
	return 0;
}

static int strings_append(struct strings *strings, const char *bytes, size_t len)
{
	while (len) {
		size_t offset = strings->used % PAGE_SIZE, n = min(len, (size_t)(PAGE_SIZE - offset));
		int error = strings->used / PAGE_SIZE == strings->nr_pages ? strings_grow(strings) : 0;

		if (error)
			return error;
		memcpy(strings->pages[strings->used / PAGE_SIZE] + offset, bytes, n);
		strings->used += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

int strings_add(struct strings *strings, const char *text, size_t len)
{
	int error = strings_append(strings, text, len);

	if (!error)
		error = strings_append(strings, "", 1);
	if (!error)
		strings->count++;
	return error;
}

void strings_free(struct strings *strings)
{
	for (size_t i = 0; i < strings->nr_pages; i++)
		kfree(strings->pages[i]);
	kfree(strings->pages);
	*strings = (struct strings){ 0 };
}

int strings_to_user(const struct strings *strings, vaddr_t addr)
{
	for (size_t at = 0; at < strings->used; at += PAGE_SIZE)
		if (copy_to_user(addr + at, strings->pages[at / PAGE_SIZE], min(strings->used - at, (size_t)PAGE_SIZE)))
			return -EFAULT;
	return 0;
}

/* Adds one string of user memory, piece by piece. */
static int add_user_string(struct strings *strings, vaddr_t addr, char *buf)
{
	size_t total = 0;

	for (;;) {
		long n = strncpy_from_user(buf, addr + total, PAGE_SIZE);
		int error;

		if (n < 0)
			return (int)n;
		if (n < (long)PAGE_SIZE)
			return strings_add(strings, buf, (size_t)n);
		total += PAGE_SIZE;
		if (total >= MAX_ARG_STRLEN)
			return -E2BIG;
		error = strings_append(strings, buf, PAGE_SIZE);
		if (error)
			return error;
	}
}

/* Adds a NULL-terminated array of user pointers; NULL itself is an empty array. `limit` in bytes, pointers included. */
static int add_user_strings(struct strings *strings, vaddr_t array, u32 skip, u64 limit)
{
	char *buf = array ? kmalloc(PAGE_SIZE, ALLOC_WAIT) : NULL;
	int error = array && !buf ? -ENOMEM : 0;

	for (u32 i = 0; array && !error; i++) {
		vaddr_t addr;

		error = get_user(&addr, array + i * 8UL);
		if (error || !addr)
			break;
		if (thread_killed())
			error = -EINTR;
		else if (i >= skip)
			error = add_user_string(strings, addr, buf);
		if (!error && strings->used + strings->count * 8UL > limit)
			error = -E2BIG;
		cond_resched();
	}
	kfree(buf);
	return error;
}

static u64 strings_limit(void)
{
	u64 limit = rlimit_current(RLIMIT_STACK) / 4;

	return max(min(limit, MAX_STRINGS_BYTES), MIN_STRINGS_BYTES);
}

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */

static int exec_read_header(struct exec *exec)
{
	long n;

	memset(exec->header, 0, sizeof(exec->header));
	n = file_read_kernel(exec->file, 0, exec->header, sizeof(exec->header));
	return n < 0 ? (int)n : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits "#! interpreter argument" in two. Returns: 0, or -ENOEXEC as on Linux. */
static int parse_interpreter(char *line, char **interpreter, char **argument)
{
	char *end = strchr(line, '\n'), *p = line;

	if (!end)
		end = line + strlen(line);
	while (end > line && is_blank(end[-1]))
		end--;
	*end = '\0';
	while (is_blank(*p))
		p++;
	if (!*p)
		return -ENOEXEC;
	*interpreter = p;
	while (*p && !is_blank(*p))
		p++;
	while (is_blank(*p))
		*p++ = '\0';
	*argument = *p ? p : NULL;
	return 0;
}

/* Inserts the strings of one script before those present. `script` is the path that the interpreter is to read. */
static int add_prefix(struct exec *exec, const char *interpreter, const char *argument, const char *script)
{
	struct strings old = exec->prefix;
	int error;

	exec->prefix = (struct strings){ 0 };
	error = strings_add(&exec->prefix, interpreter, strlen(interpreter));
	if (!error && argument)
		error = strings_add(&exec->prefix, argument, strlen(argument));
	if (!error && !old.count)
		error = strings_add(&exec->prefix, script, strlen(script));
	/* Nested scripts: the previous interpreter, the first of the old strings, is the script to read here. */
	for (size_t at = 0; !error && at < old.used;) {
		const char *text = old.pages[0] + at; /* a few paths: they fit in the first page, see below */

		error = strings_add(&exec->prefix, text, strlen(text));
		at += strlen(text) + 1;
	}
	strings_free(&old);
	return !error && exec->prefix.used > PAGE_SIZE ? -E2BIG : error;
}

/* Follows "#!" lines until exec->file is not a script. */
static int resolve_scripts(struct exec *exec)
{
	for (int depth = 0; exec->header[0] == '#' && exec->header[1] == '!'; depth++) {
		char line[sizeof(exec->header) + 1], *interpreter, *argument;
		struct file *file;
		int error;

		memcpy(line, exec->header + 2, sizeof(exec->header) - 2);
		line[sizeof(exec->header) - 2] = '\0';
		error = parse_interpreter(line, &interpreter, &argument);
		if (!error && depth == MAX_INTERPRETERS)
			error = -ELOOP;
		if (!error)
			error = add_prefix(exec, interpreter, argument, exec->filename);
		if (error)
			return error;
		file = file_open_exec(AT_FDCWD, interpreter, 0);
		if (is_err(file))
			return (int)ptr_err(file);
		file_put(exec->file);
		exec->file = file;
		error = exec_read_header(exec);
		if (error)
			return error;
	}
	return 0;
}

/* ---- Replacing the program --------------------------------------------------------------------------------------- */

/* Unshares what exec will change. It may fail, and so comes before the point of no return. */
static int unshare(struct task *task, struct sighand **sighand)
{
	struct files *files;

	*sighand = sighand_copy(task->process->sighand);
	if (!*sighand)
		return -ENOMEM;
	if (load_acquire(&task->files->refcount) == 1)
		return 0;
	files = files_dup(task->files);
	if (!files)
		return -ENOMEM;
	task_set_files(task, files);
	return 0;
}

static void set_comm(struct task *task, const char *filename)
{
	const char *base = strrchr(filename, '/');
	size_t len;

	base = base ? base + 1 : filename;
	len = min(strlen(base), (size_t)TASK_COMM_LEN - 1);
	memset(task->comm, 0, TASK_COMM_LEN);
	memcpy(task->comm, base, len);
}

static void reset_registers(struct task *task, vaddr_t entry, vaddr_t sp)
{
	struct trap_frame *frame = task_frame(task);
	unsigned long flags;

	*frame = (struct trap_frame){
		.rip = entry,
		.rsp = sp,
		.cs = USER_CS,
		.ss = USER_DS,
		.rflags = USER_RFLAGS_FIXED,
		.orig_rax = -1UL,
	};
	reset_user_segments();
	flags = irq_save();
	xstate_init(task->fpu);
	xstate_load(task->fpu);
	irq_restore(flags);
	atomic_or(&task->work, WORK_FRAME);
}

static void reset_signals(struct task *task, struct sighand *sighand)
{
	struct process *process = task->process;
	struct sighand *old = process->sighand;
	unsigned long flags;

	sighand_reset(sighand);
	flags = spin_lock_irqsave(&process->lock);
	process->sighand = sighand;
	task->altstack = (struct sigstack){ .flags = 2 /* SS_DISABLE */ };
	spin_unlock_irqrestore(&process->lock, flags);
	sighand_put(old);
	posix_timers_exit(process);
}

/* Completes the exec, after the point of no return: nothing here can fail. The current address space is the new one. */
static void become(struct exec *exec, struct mm *old_mm, struct sighand *sighand, const struct elf_image *image,
		   vaddr_t sp)
{
	struct task *task = current;
	struct process *process = task->process;

	spin_lock(&process_tree_lock);
	task_take_number(task, process->pid);
	process->did_exec = true;
	process->exit_signal = SIGCHLD;
	spin_unlock(&process_tree_lock);
	if (old_mm)
		mmput(old_mm);
	files_close_on_exec(task->files);
	reset_signals(task, sighand);
	set_comm(task, exec->filename);
	process->no_dump = false;
	WRITE_ONCE(process->membarrier, 0);
	reset_registers(task, image->entry, sp);
}

/* Releases the futexes and the vfork parent of the old program, in the old address space, where they are. */
static void leave_old_program(struct exec *exec, struct mm *old)
{
	if (!old)
		return;
	task_switch_mm(old);
	task_release_user();
	task_switch_mm(exec->mm);
}

static int build_and_switch(struct exec *exec)
{
	struct elf_image image = { 0 };
	struct sighand *sighand = NULL;
	struct mm *old;
	vaddr_t sp = 0;
	int error;

	exec->mapped = file_open_dentry(exec->file->dentry, O_RDONLY);
	if (is_err(exec->mapped)) {
		error = (int)ptr_err(exec->mapped);
		exec->mapped = NULL;
		return error;
	}
	exec->mm = mm_create();
	if (!exec->mm)
		return -ENOMEM;
	rlimits_to_mm(current->process, exec->mm);
	exec->mm->exe_file = file_get(exec->file);
	old = task_switch_mm(exec->mm);
	error = elf_load(exec, &image);
	if (!error)
		error = elf_build_stack(exec, &image, &sp);
	if (!error)
		error = unshare(current, &sighand);
	if (!error)
		error = process_become_single();
	if (!error) {
		leave_old_program(exec, old);
		become(exec, old, sighand, &image, sp);
		return 0;
	}
	task_switch_mm(old);
	mmput(exec->mm);
	if (sighand)
		sighand_put(sighand);
	return error;
}

/* Executes exec->file; the file is open and the strings are collected. */
static int exec_file(struct exec *exec)
{
	int error = exec_read_header(exec);

	if (!error)
		error = resolve_scripts(exec);
	return error ? error : build_and_switch(exec);
}

static void exec_free(struct exec *exec)
{
	strings_free(&exec->prefix);
	strings_free(&exec->args);
	strings_free(&exec->env);
	if (exec->file)
		file_put(exec->file);
	if (exec->mapped)
		file_put(exec->mapped);
	kfree(exec);
}

/* A script's argv[0] is replaced, and only the file's contents tell whether it is a script. */
static int exec_user(struct exec *exec, vaddr_t argv, vaddr_t envp)
{
	u64 limit = strings_limit();
	int error = exec_read_header(exec);
	bool script;

	if (error)
		return error;
	script = exec->header[0] == '#' && exec->header[1] == '!';
	error = add_user_strings(&exec->args, argv, script, limit);
	if (!error && !script && !exec->args.count) /* as Linux since 5.18: programs rely on argv[0] */
		error = strings_add(&exec->args, "", 0);
	if (!error)
		error = add_user_strings(&exec->env, envp, 0, limit);
	if (!error && exec->args.used + exec->env.used + (exec->args.count + exec->env.count) * 8UL > limit)
		error = -E2BIG;
	return error ? error : exec_file(exec);
}

static long do_execve(int dirfd, vaddr_t path, vaddr_t argv, vaddr_t envp, u32 flags)
{
	char *filename = path_from_user(path);
	struct exec *exec;
	long error;

	if (is_err(filename))
		return ptr_err(filename);
	exec = kmalloc(sizeof(*exec), ALLOC_ZERO | ALLOC_WAIT);
	if (!exec) {
		kfree(filename);
		return -ENOMEM;
	}
	exec->filename = filename;
	exec->file = file_open_exec(dirfd, filename, flags);
	if (is_err(exec->file)) {
		error = ptr_err(exec->file);
		exec->file = NULL;
	} else {
		error = exec_user(exec, argv, envp);
	}
	exec_free(exec);
	kfree(filename);
	return error;
}

SYSCALL(execve)
{
	return do_execve(AT_FDCWD, a0, a1, a2, 0);
}

SYSCALL(execveat)
{
	if ((u32)a4 & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return do_execve((int)a0, a1, a2, a3, (u32)a4);
}

/* ---- The first program ------------------------------------------------------------------------------------------- */

/* Adds the NUL-terminated strings of a file of the initramfs; none if there is no such file. */
static int add_file_strings(struct strings *strings, const char *path)
{
	struct file *file = file_open_kernel(path, O_RDONLY);
	u64 pos = 0;
	char byte;
	int error = 0;

	if (is_err(file))
		return ptr_err(file) == -ENOENT ? 0 : (int)ptr_err(file);
	while (!error && file_read_kernel(file, pos++, &byte, 1) == 1) {
		error = strings_append(strings, &byte, 1);
		strings->count += !byte;
	}
	file_put(file);
	return error;
}

int exec_first(void)
{
	struct exec *exec = kmalloc(sizeof(*exec), ALLOC_ZERO | ALLOC_WAIT);
	char path[PATH_MAX / 4];
	int error;

	assert_may_sleep();
	if (!exec)
		return -ENOMEM;
	error = add_file_strings(&exec->args, "/.faultline/argv");
	if (!error && !exec->args.count)
		error = strings_add(&exec->args, "/init", 5);
	if (!error)
		error = add_file_strings(&exec->env, "/.faultline/env");
	if (!error && strnlen(exec->args.pages[0], sizeof(path)) == sizeof(path))
		error = -ENAMETOOLONG;
	if (!error) {
		memcpy(path, exec->args.pages[0], strlen(exec->args.pages[0]) + 1);
		exec->filename = path;
		exec->file = file_open_exec(AT_FDCWD, path, 0);
		error = is_err(exec->file) ? (int)ptr_err(exec->file) : exec_file(exec);
		if (is_err(exec->file))
			exec->file = NULL;
	}
	exec_free(exec);
	return error;
}
