/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, and the current and root directory of a process. One spinlock guards a table; it is a leaf, so
 * memory for a larger table is allocated before it is taken, and files are put after it is released.
 */
#include "kernel/fs/files.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "mm/page/slab.h"

#define INITIAL_CAPACITY 64U	/* Linux's NR_OPEN_DEFAULT */
#define MAX_CAPACITY (1U << 19) /* so many pointers fit in kmalloc's largest block */
#define RLIMIT_NOFILE 7

/* --- bits of a table; its lock is held --- */

static bool bit_test(const u64 *bits, unsigned n)
{
	return bits[n / 64] >> (n % 64) & 1;
}

static void bit_assign(u64 *bits, unsigned n, bool value)
{
	if (value)
		bits[n / 64] |= 1UL << (n % 64);
	else
		bits[n / 64] &= ~(1UL << (n % 64));
}

/* Returns the first clear bit in [from, end), or `end` if there is none. */
static unsigned bit_find_clear(const u64 *bits, unsigned from, unsigned end)
{
	for (unsigned n = from; n < end; n = align_down(n, 64) + 64) {
		u64 clear = ~bits[n / 64] >> n % 64;

		if (clear)
			return min(n + (unsigned)__builtin_ctzl(clear), end);
	}
	return end;
}

static void set_used(struct files *files, unsigned fd, bool used)
{
	bit_assign(files->used, fd, used);
	bit_assign(files->full, fd / 64, files->used[fd / 64] == ~0UL);
}

/* Returns the first open descriptor at or above fd, or -1. */
static int next_open(const struct files *files, unsigned fd)
{
	for (; fd < files->capacity; fd++) {
		if (!(files->used[fd / 64] >> fd % 64))
			fd |= 63;
		else if (files->fd[fd])
			return (int)fd;
	}
	return -1;
}

/* --- tables --- */

static size_t full_size(unsigned capacity)
{
	return align_up(capacity / 64, 64U) / 8;
}

static void files_free(struct files *files)
{
	kfree(files->fd);
	kfree(files->cloexec);
	kfree(files->used);
	kfree(files->full);
	kfree(files);
}

static struct files *files_alloc(unsigned capacity)
{
	struct files *files = kmalloc(sizeof(*files), ALLOC_ZERO | ALLOC_WAIT);

	if (!files)
		return NULL;
	files->refcount = 1;
	spin_init(&files->lock, RANK_LEAF);
	files->capacity = capacity;
	files->fd = kmalloc(capacity * sizeof(files->fd[0]), ALLOC_ZERO | ALLOC_WAIT);
	files->cloexec = kmalloc(capacity / 8, ALLOC_ZERO | ALLOC_WAIT);
	files->used = kmalloc(capacity / 8, ALLOC_ZERO | ALLOC_WAIT);
	files->full = kmalloc(full_size(capacity), ALLOC_ZERO | ALLOC_WAIT);
	if (files->fd && files->cloexec && files->used && files->full)
		return files;
	files_free(files);
	return NULL;
}

struct files *files_create(void)
{
	return files_alloc(INITIAL_CAPACITY);
}

void files_put_first(struct files *files, unsigned fd, struct file *file)
{
	files->fd[fd] = file;
	set_used(files, fd, true);
}

/*
 * => files->lock held. Copies the contents into the larger arrays and exchanges the arrays; the caller frees the old
 * ones.
 */
static void files_exchange_arrays(struct files *files, struct files *larger)
{
	struct files old = *files;

	assert_spin_held(&files->lock);
	memcpy(larger->fd, files->fd, files->capacity * sizeof(files->fd[0]));
	memcpy(larger->cloexec, files->cloexec, files->capacity / 8);
	memcpy(larger->used, files->used, files->capacity / 8);
	memcpy(larger->full, files->full, full_size(files->capacity));
	files->fd = larger->fd;
	files->cloexec = larger->cloexec;
	files->used = larger->used;
	files->full = larger->full;
	files->capacity = larger->capacity;
	larger->fd = old.fd;
	larger->cloexec = old.cloexec;
	larger->used = old.used;
	larger->full = old.full;
}

/* Makes room for descriptor fd. Returns 0, -EMFILE or -ENOMEM. => no lock from RANK_FILES on held. */
static int files_grow(struct files *files, unsigned fd)
{
	unsigned capacity = INITIAL_CAPACITY;
	struct files *larger;

	assert_no_lock_from(RANK_FILES);
	while (capacity <= fd)
		capacity *= 2;
	if (capacity > MAX_CAPACITY)
		return -EMFILE;
	larger = files_alloc(capacity);
	if (!larger)
		return -ENOMEM;
	spin_lock(&files->lock);
	if (files->capacity < capacity)
		files_exchange_arrays(files, larger);
	spin_unlock(&files->lock);
	files_free(larger);
	return 0;
}

/* => files->lock held. Returns the capacity that the used descriptors need; the table may have been fuller once. */
static unsigned needed_capacity(const struct files *files)
{
	unsigned words = files->capacity / 64, capacity = INITIAL_CAPACITY;

	assert_spin_held(&files->lock);
	while (words > 1 && !files->used[words - 1])
		words--;
	while (capacity < words * 64)
		capacity *= 2;
	return capacity;
}

/* `copy` is large enough, and only the caller knows it. => files->lock held. */
static void files_copy_locked(struct files *copy, struct files *files)
{
	assert_spin_held(&files->lock);
	for (int fd = -1; (fd = next_open(files, (unsigned)fd + 1)) >= 0;) { /* reserved ones are free in the copy */
		copy->fd[fd] = file_get(files->fd[fd]);
		set_used(copy, (unsigned)fd, true);
	}
	memcpy(copy->cloexec, files->cloexec, copy->capacity / 8);
}

struct files *files_dup(struct files *files)
{
	unsigned capacity = INITIAL_CAPACITY, needed;

	for (;; capacity = needed) {
		struct files *copy = files_alloc(capacity);

		if (!copy)
			return NULL;
		spin_lock(&files->lock);
		needed = needed_capacity(files);
		if (needed <= capacity)
			files_copy_locked(copy, files);
		spin_unlock(&files->lock);
		if (needed <= capacity)
			return copy;
		files_free(copy);
	}
}

struct files *files_get(struct files *files)
{
	atomic_inc(&files->refcount);
	return files;
}

/*
 * Puts a file that was removed from the table. Closing any descriptor of a file releases the table's record locks on
 * it.
 */
static void files_release_fd(struct files *files, struct file *file)
{
	record_lock_release(file->inode, files);
	file_put(file);
}

void files_put(struct files *files)
{
	if (atomic_dec_return(&files->refcount))
		return;
	for (unsigned i = 0; i < files->capacity; i++) {
		if (files->fd[i])
			files_release_fd(files, files->fd[i]);
	}
	files_free(files);
}

/* Clears a descriptor. Returns its file, with the table's reference, or NULL if it is not open. */
static struct file *files_take(struct files *files, unsigned fd)
{
	struct file *file = NULL;

	spin_lock(&files->lock);
	if (fd < files->capacity && files->fd[fd]) {
		file = files->fd[fd];
		files->fd[fd] = NULL;
		bit_assign(files->cloexec, fd, false);
		set_used(files, fd, false);
	}
	spin_unlock(&files->lock);
	return file;
}

void files_close_on_exec(struct files *files)
{
	assert_may_sleep();
	for (unsigned i = 0; i < files->capacity; i++) {
		if (!bit_test(files->cloexec, i))
			continue;
		struct file *file = files_take(files, i);
		if (file)
			files_release_fd(files, file);
	}
}

struct file *files_get_file(struct files *files, unsigned fd)
{
	struct file *file = NULL;

	spin_lock(&files->lock);
	if (fd < files->capacity && files->fd[fd])
		file = file_get(files->fd[fd]);
	spin_unlock(&files->lock);
	return file;
}

bool files_is_cloexec(struct files *files, unsigned fd)
{
	spin_lock(&files->lock);
	bool close = fd < files->capacity && bit_test(files->cloexec, fd);
	spin_unlock(&files->lock);
	return close;
}

int files_next_open(struct files *files, unsigned fd)
{
	int found;

	spin_lock(&files->lock);
	found = next_open(files, fd);
	spin_unlock(&files->lock);
	return found;
}

u64 files_kept_pages(struct files *files)
{
	u64 nr_pages = 0;

	spin_lock(&files->lock);
	for (unsigned i = 0; i < files->capacity; i++) {
		const struct file *file = files->fd[i];

		if (file && file->ops->kept_pages)
			nr_pages += file->ops->kept_pages(file) / max(READ_ONCE(file->refcount), 1u);
	}
	spin_unlock(&files->lock);
	return nr_pages;
}

/* --- the tables of a task --- */

struct files *task_files(struct task *task)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	struct files *files = task->files;

	if (files)
		files_get(files);
	spin_unlock_irqrestore(&task->process->lock, flags);
	return files;
}

struct fs_context *task_fs(struct task *task)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	struct fs_context *fs = task->fs;

	if (fs)
		fs_context_get(fs);
	spin_unlock_irqrestore(&task->process->lock, flags);
	return fs;
}

void task_set_files(struct task *task, struct files *files)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	struct files *old = task->files;

	task->files = files;
	spin_unlock_irqrestore(&task->process->lock, flags);
	assert_may_sleep();
	if (old)
		files_put(old);
}

void task_set_fs(struct task *task, struct fs_context *fs)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	struct fs_context *old = task->fs;

	task->fs = fs;
	spin_unlock_irqrestore(&task->process->lock, flags);
	assert_may_sleep();
	if (old)
		fs_context_put(old);
}

/* --- descriptors of the current process --- */

struct file *fget_raw(int fd)
{
	return files_get_file(current->files, (unsigned)fd);
}

struct file *fget(int fd)
{
	struct file *file = fget_raw(fd);

	if (file && (file->mode & FMODE_PATH)) {
		file_put(file);
		return NULL;
	}
	return file;
}

u64 rlimit_nofile(void)
{
	/* Unlocked: a concurrent change of the limit may be seen or not. */
	return READ_ONCE(current->process->rlimit[RLIMIT_NOFILE].cur);
}

/*
 * Returns the lowest free descriptor at or above `min`, which may lie beyond the capacity. Searches the word of `min`,
 * then `full` for a later word with a free descriptor, then that word. => files->lock held
 */
static unsigned files_find_free(const struct files *files, unsigned min)
{
	unsigned capacity = files->capacity, end = align_down(min, 64U) + 64, word;

	assert_spin_held(&files->lock);
	if (min >= capacity)
		return min;
	min = bit_find_clear(files->used, min, end);
	if (min < end)
		return min;
	word = bit_find_clear(files->full, end / 64, capacity / 64);
	return bit_find_clear(files->used, word * 64, capacity);
}

int fd_reserve(unsigned min, u32 flags)
{
	struct files *files = current->files;
	unsigned limit = (unsigned)min(rlimit_nofile(), (u64)MAX_CAPACITY);

	for (;;) {
		spin_lock(&files->lock);
		unsigned fd = files_find_free(files, min);
		bool room = fd < files->capacity;
		if (fd < limit && room) {
			set_used(files, fd, true);
			bit_assign(files->cloexec, fd, flags & O_CLOEXEC);
		}
		spin_unlock(&files->lock);
		if (fd >= limit)
			return -EMFILE;
		if (room)
			return (int)fd;
		int ret = files_grow(files, fd);
		if (ret)
			return ret;
	}
}

void fd_install(int fd, struct file *file)
{
	struct files *files = current->files;

	spin_lock(&files->lock);
	ASSERT(bit_test(files->used, (unsigned)fd) && !files->fd[fd], "a file goes to a descriptor reserved for it");
	files->fd[fd] = file;
	spin_unlock(&files->lock);
}

void fd_unreserve(int fd)
{
	struct files *files = current->files;

	spin_lock(&files->lock);
	set_used(files, (unsigned)fd, false);
	bit_assign(files->cloexec, (unsigned)fd, false);
	spin_unlock(&files->lock);
}

int fd_install_new(struct file *file, u32 flags)
{
	if (is_err(file))
		return (int)ptr_err(file);
	int fd = fd_reserve(0, flags);
	if (fd < 0)
		file_put(file);
	else
		fd_install(fd, file);
	return fd;
}

int fd_close(unsigned fd)
{
	struct file *file = files_take(current->files, fd);

	assert_may_sleep();
	if (!file)
		return -EBADF;
	files_release_fd(current->files, file);
	return 0;
}

int fd_replace(unsigned fd, struct file *file, u32 flags)
{
	struct files *files = current->files;
	struct file *old;

	while (fd >= READ_ONCE(files->capacity)) { /* tables only grow, so a stale value costs one more iteration */
		int ret = files_grow(files, fd);
		if (ret)
			return ret;
	}
	spin_lock(&files->lock);
	if (bit_test(files->used, fd) && !files->fd[fd]) {
		spin_unlock(&files->lock);
		return -EBUSY;
	}
	old = files->fd[fd];
	files->fd[fd] = file;
	set_used(files, fd, true);
	bit_assign(files->cloexec, fd, flags & O_CLOEXEC);
	spin_unlock(&files->lock);
	if (old)
		files_release_fd(files, old);
	return (int)fd;
}

int fd_cloexec_get(unsigned fd)
{
	struct files *files = current->files;
	int ret = -EBADF;

	spin_lock(&files->lock);
	if (fd < files->capacity && files->fd[fd])
		ret = bit_test(files->cloexec, fd);
	spin_unlock(&files->lock);
	return ret;
}

int fd_cloexec_set(unsigned fd, bool close)
{
	struct files *files = current->files;
	int ret = -EBADF;

	spin_lock(&files->lock);
	if (fd < files->capacity && files->fd[fd]) {
		bit_assign(files->cloexec, fd, close);
		ret = 0;
	}
	spin_unlock(&files->lock);
	return ret;
}

/* --- the current directory --- */

/* Takes over both references, also when it fails. */
static struct fs_context *fs_alloc(struct dentry *cwd, struct dentry *root, u32 umask)
{
	struct fs_context *fs = kmalloc(sizeof(*fs), ALLOC_WAIT);

	if (!fs) {
		dentry_put(cwd);
		dentry_put(root);
		return NULL;
	}
	fs->refcount = 1;
	spin_init(&fs->lock, RANK_LEAF);
	fs->cwd = cwd;
	fs->root = root;
	fs->umask = umask;
	return fs;
}

struct fs_context *fs_context_create(void)
{
	return fs_alloc(dentry_get(fs_root), dentry_get(fs_root), 022);
}

struct fs_context *fs_context_dup(struct fs_context *fs)
{
	spin_lock(&fs->lock);
	struct dentry *cwd = dentry_get(fs->cwd), *root = dentry_get(fs->root);
	u32 umask = fs->umask;
	spin_unlock(&fs->lock);
	return fs_alloc(cwd, root, umask);
}

struct fs_context *fs_context_get(struct fs_context *fs)
{
	atomic_inc(&fs->refcount);
	return fs;
}

void fs_context_put(struct fs_context *fs)
{
	if (atomic_dec_return(&fs->refcount))
		return;
	dentry_put(fs->cwd);
	dentry_put(fs->root);
	kfree(fs);
}

/* Returns the current or the root directory, with a reference. */
static struct dentry *get_place(struct fs_context *fs, struct dentry *const *place)
{
	spin_lock(&fs->lock);
	struct dentry *dentry = dentry_get(*place);
	spin_unlock(&fs->lock);
	return dentry;
}

static void files_set_place(struct fs_context *fs, struct dentry **place, struct dentry *dentry)
{
	spin_lock(&fs->lock);
	struct dentry *old = *place;
	*place = dentry;
	spin_unlock(&fs->lock);
	dentry_put(old);
}

struct dentry *fs_cwd(struct fs_context *fs)
{
	return get_place(fs, &fs->cwd);
}

struct dentry *fs_root_dir(struct fs_context *fs)
{
	return get_place(fs, &fs->root);
}

void fs_set_cwd(struct fs_context *fs, struct dentry *dentry)
{
	files_set_place(fs, &fs->cwd, dentry);
}

void fs_set_root_dir(struct fs_context *fs, struct dentry *dentry)
{
	files_set_place(fs, &fs->root, dentry);
}

struct dentry *current_root(void)
{
	return current->fs ? fs_root_dir(current->fs) : dentry_get(fs_root);
}
