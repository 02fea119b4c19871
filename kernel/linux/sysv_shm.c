/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory: shmget, shmat, shmdt, shmctl. Mirrors Linux's ipc/shm.c.
 *
 * A segment is a file in memory that has no name in the directory tree. The table of segments holds a reference to it
 * until IPC_RMID, and each VMA that maps it holds another; the last reference frees it. So attachments are not counted,
 * but looked up.
 *
 * Locks: shm_lock protects the trees and the fields of segments (RANK_LEAF, interrupts off, since RCU may release a
 * file).
 */

#include "kernel/fs/file.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"
#include "mm/calls/mmap.h"
#include "mm/fault.h"
#include "mm/page/slab.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma_change.h"
#include "mm/vma/vma_tree.h"

#define IPC_PRIVATE 0
#define IPC_CREAT 01000u
#define IPC_EXCL 02000u
#define IPC_RMID 0
#define IPC_SET 1
#define IPC_STAT 2
#define IPC_INFO 3
#define SHM_LOCK 11
#define SHM_UNLOCK 12
#define SHM_RDONLY 010000u
#define SHM_RND 020000u
#define SHM_REMAP 040000u
#define SHM_EXEC 0100000u
#define SHM_DEST 01000u /* in the mode that IPC_STAT returns: removed, but still attached */
#define SHM_LOCKED 02000u
#define SHMMAX (~0UL - (1UL << 24))
#define SHMMNI 4096u
#define MAY_READ 4u
#define MAY_WRITE 2u

/* Linux's struct shmid64_ds. */
struct shm_status {
	s32 key;
	u32 uid, gid, cuid, cgid, mode;
	u16 seq, pad[3];
	u64 unused[2];
	u64 size;
	s64 attach_time, detach_time, change_time;
	s32 creator_pid, last_pid;
	u64 nr_attached, unused_too[2];
};
_Static_assert(sizeof(struct shm_status) == 112, "as Linux's");

/* Linux's struct shminfo64. */
struct shm_limits {
	u64 max, min, max_segments, max_segments_of_process, all, unused[4];
};

struct segment {
	struct interval_node by_id, by_key; /* in by_key until it is removed, if it has a key */
	s32 id;				    /* constant */
	bool removed;			    /* IPC_RMID has dropped the table's reference */
	struct shm_status status;	    /* without nr_attached */
	struct file *file;		    /* constant; its `private` is this segment */
};

static spinlock_t shm_lock = SPINLOCK_INIT(LEAF);
static struct interval_tree by_id, by_key; /* shm_lock */
static s32 next_id;			   /* shm_lock */

static s64 now(void)
{
	return (s64)(realtime_ns() / 1000000000);
}

/* ---- Look-up ----------------------------------------------------------------------------------------------------- */

/*
 * Takes a reference. Returns false if the last one is gone, so that the segment is about to leave the trees.
 * => shm_lock held.
 */
static bool file_get_if_open(struct file *file)
{
	u32 count = READ_ONCE(file->refcount);

	assert_spin_held(&shm_lock);
	while (count && !atomic_cas(&file->refcount, count, count + 1))
		count = READ_ONCE(file->refcount);
	return count != 0;
}

/* As on Linux, each VMA counts, including the parts of a split one. */
static u64 nr_attached(const struct segment *segment)
{
	struct mapping *mapping = segment->file->mapping;
	u64 nr;

	spin_lock(&mapping->i_mmap_lock);
	nr = mapping->i_mmap.nr;
	spin_unlock(&mapping->i_mmap_lock);
	return nr;
}

/* Returns the segment with a reference to its file, or NULL. => shm_lock held. */
static struct segment *get_if_open(struct segment *segment)
{
	assert_spin_held(&shm_lock);
	return segment && file_get_if_open(segment->file) ? segment : NULL;
}

/* => shm_lock held. */
static struct segment *segment_of_key(s32 key)
{
	struct interval_node *node = interval_tree_first(&by_key, (u32)key, (u32)key);

	assert_spin_held(&shm_lock);
	return node ? container_of(node, struct segment, by_key) : NULL;
}

/* Returns the segment of that key, unless removed, with a reference to its file, or NULL. */
static struct segment *find_by_key(s32 key)
{
	unsigned long flags = spin_lock_irqsave(&shm_lock);
	struct segment *segment = get_if_open(segment_of_key(key));

	spin_unlock_irqrestore(&shm_lock, flags);
	return segment;
}

/* The same by id, including removed segments. */
static struct segment *find_any_by_id(s32 id)
{
	unsigned long flags = spin_lock_irqsave(&shm_lock);
	struct interval_node *node = interval_tree_first(&by_id, (u32)id, (u32)id);
	struct segment *segment = get_if_open(node ? container_of(node, struct segment, by_id) : NULL);

	spin_unlock_irqrestore(&shm_lock, flags);
	return segment;
}

/*
 * The same by id, except for a removed segment without attachments: it no longer exists, even if its last VMA is still
 * to be freed.
 */
static struct segment *find_by_id(s32 id)
{
	struct segment *segment = id >= 0 ? find_any_by_id(id) : NULL;

	if (segment && READ_ONCE(segment->removed) && !nr_attached(segment)) {
		file_put(segment->file);
		return NULL;
	}
	return segment;
}

/* As Linux's ipcperms(): owner and creator, group, others; root has every permission. */
static bool permitted(const struct segment *segment, u32 wanted)
{
	const struct users *users = &current->process->users;
	const struct shm_status *s = &segment->status;
	u32 mode = READ_ONCE(s->mode);

	if (process_is_privileged(current->process))
		return true;
	if (users->user.effective == s->uid || users->user.effective == s->cuid)
		mode >>= 6;
	else if (users->group.effective == s->gid || users->group.effective == s->cgid)
		mode >>= 3;
	return !(wanted & ~mode & 7);
}

static bool owned(const struct segment *segment)
{
	u32 user = current->process->users.user.effective;

	return process_is_privileged(current->process) || user == segment->status.uid || user == segment->status.cuid;
}

/* ---- shmget ------------------------------------------------------------------------------------------------------ */

/* => shm_lock held. */
static void forget_key(struct segment *segment)
{
	assert_spin_held(&shm_lock);
	if (interval_node_is_linked(&segment->by_key))
		interval_tree_remove(&by_key, &segment->by_key);
}

static void segment_release(struct file *file)
{
	struct segment *segment = file->private;
	unsigned long flags;

	if (!segment)
		return;
	flags = spin_lock_irqsave(&shm_lock);
	interval_tree_remove(&by_id, &segment->by_id);
	forget_key(segment);
	spin_unlock_irqrestore(&shm_lock, flags);
	kfree(segment);
}

static const struct file_ops segment_ops = {
	.release = segment_release,
};

static struct file *segment_file(s32 key, u64 size)
{
	struct inode *inode = ramfs_inode(&memfd_super, S_IFREG | 0600, 0);
	char name[32];

	if (!inode)
		return err_ptr(-ENOMEM);
	inode->nlink = 0;
	down_write(&inode->lock);
	(void)mapping_truncate(inode->mapping, size); /* cannot fail: the file is in memory only */
	up_write(&inode->lock);
	ksnprintf(name, sizeof(name), "/SYSV%08x (deleted)", (u32)key);
	return file_open_anon(inode, name, &segment_ops, O_RDWR);
}

static void status_init(struct shm_status *status, s32 key, u64 size, u32 mode)
{
	const struct users *users = &current->process->users;

	*status = (struct shm_status){ .key = key, .size = size, .mode = mode & 0777 };
	status->uid = status->cuid = users->user.effective;
	status->gid = status->cgid = users->group.effective;
	status->creator_pid = current->process->pid;
	status->change_time = now();
}

/*
 * Inserts the segment into the trees. Returns: 0; -EEXIST if another one got its key first; -ENOSPC if there are too
 * many.
 */
static int shm_publish(struct segment *new)
{
	unsigned long flags = spin_lock_irqsave(&shm_lock);
	bool has_key = new->status.key != IPC_PRIVATE;
	int error = by_id.nr >= SHMMNI ? -ENOSPC : 0;

	if (has_key && segment_of_key(new->status.key))
		error = -EEXIST;
	if (!error) {
		new->id = next_id;
		next_id = (next_id + 1) & 0x7fffffff;
		new->file->private = new;
		interval_tree_insert(&by_id, &new->by_id, (u32) new->id, (u32) new->id);
		if (has_key)
			interval_tree_insert(&by_key, &new->by_key, (u32) new->status.key, (u32) new->status.key);
	}
	spin_unlock_irqrestore(&shm_lock, flags);
	return error;
}

/* Returns the id, or -errno. */
static long shm_create(s32 key, u64 size, u32 mode)
{
	struct segment *segment;
	int error;

	if (!size || size > SHMMAX)
		return -EINVAL;
	if (!mm_may_commit(size >> PAGE_SHIFT))
		return -ENOMEM;
	segment = kmalloc(sizeof(*segment), ALLOC_ZERO | ALLOC_WAIT);
	if (!segment)
		return -ENOMEM;
	status_init(&segment->status, key, size, mode);
	segment->file = segment_file(key, size);
	error = is_err(segment->file) ? (int)ptr_err(segment->file) : shm_publish(segment);
	if (!error)
		return segment->id;
	if (!is_err(segment->file))
		file_put(segment->file);
	kfree(segment);
	return error;
}

static long use_existing(const struct segment *segment, u64 size, u32 flags)
{
	if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		return -EEXIST;
	if (size > segment->status.size)
		return -EINVAL;
	return permitted(segment, flags >> 6 | flags >> 3 | flags) ? segment->id : -EACCES;
}

SYSCALL(shmget)
{
	s32 key = (s32)a0;
	u32 flags = (u32)a2;
	struct segment *segment;
	long id;

	for (;;) {
		segment = key == IPC_PRIVATE ? NULL : find_by_key(key);
		if (segment) {
			id = use_existing(segment, a1, flags);
			file_put(segment->file);
			return id;
		}
		if (key != IPC_PRIVATE && !(flags & IPC_CREAT))
			return -ENOENT;
		id = shm_create(key, a1, flags);
		if (id != -EEXIST)
			return id;
	}
}

/* ---- shmat, shmdt ------------------------------------------------------------------------------------------------ */

/* Linux's rules for the address. Returns: 0 or -EINVAL. */
static int attach_place(struct mmap_request *request, u64 addr, u32 flags)
{
	request->addr = addr & PAGE_MASK;
	if (addr & ~PAGE_MASK && !(flags & SHM_RND))
		return -EINVAL;
	if (!request->addr && (flags & SHM_REMAP))
		return -EINVAL;
	if (addr) /* an address that rounds down to page 0 was still given, and replaces what is mapped there */
		request->flags |= flags & SHM_REMAP || !request->addr ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	return 0;
}

static void note_use(struct segment *segment, s64 *time)
{
	unsigned long flags = spin_lock_irqsave(&shm_lock);

	*time = now();
	segment->status.last_pid = current->process->pid;
	spin_unlock_irqrestore(&shm_lock, flags);
}

static long shm_attach(struct segment *segment, struct mmap_request *request)
{
	struct file *file = segment->file;
	long addr;

	request->len = (segment->status.size + PAGE_SIZE - 1) & PAGE_MASK;
	request->file = file;
	request->mapping = file->mapping;
	request->ops = &mapping_vma_ops;
	addr = mm_mmap(current->mm, request);
	if (addr == -EEXIST)
		return -EINVAL;
	if (addr >= 0)
		note_use(segment, &segment->status.attach_time);
	return addr;
}

SYSCALL(shmat)
{
	struct mmap_request request = { .prot = PROT_READ, .flags = MAP_SHARED };
	u32 flags = (u32)a2, wanted = MAY_READ;
	struct segment *segment;
	long addr;

	if ((s32)a0 < 0 || attach_place(&request, a1, flags))
		return -EINVAL;
	if (!(flags & SHM_RDONLY)) {
		request.prot |= PROT_WRITE;
		request.file_writable = true;
		wanted |= MAY_WRITE;
	}
	if (flags & SHM_EXEC)
		request.prot |= PROT_EXEC;
	segment = find_by_id((s32)a0);
	if (!segment)
		return -EINVAL;
	addr = permitted(segment, wanted) ? shm_attach(segment, &request) : -EACCES;
	file_put(segment->file);
	return addr;
}

/*
 * Finds the first VMA from *start on that maps a part of a segment at the place where an attachment at `base` has it.
 * Returns its file, with a reference, and its bounds, or NULL. As in Linux's shmdt(), the VMA may lie anywhere above.
 */
static struct file *attached_part(vaddr_t base, vaddr_t *start, vaddr_t *end)
{
	struct mm *mm = current->mm;
	struct file *file = NULL;
	struct vma *vma;

	mmap_read_lock(mm);
	vma_tree_for_each_range (vma, &mm->tree, *start, USER_END) {
		if (!vma->file || vma->file->ops != &segment_ops || vma->start - base != vma->pgoff << PAGE_SHIFT)
			continue;
		file = file_get(vma->file);
		*start = vma->start;
		*end = vma->end;
		break;
	}
	mmap_read_unlock(mm);
	return file;
}

/* Unmaps those parts of the segment that lie where an attachment at `base` has them, and nothing else. */
static void shm_detach(const struct segment *segment, vaddr_t base)
{
	vaddr_t start = base, end;
	struct file *file;

	while (start < base + segment->status.size && (file = attached_part(base, &start, &end))) {
		if (file == segment->file)
			(void)mm_munmap(current->mm, start, end - start);
		file_put(file);
		start = end;
	}
}

SYSCALL(shmdt)
{
	struct segment *segment;
	vaddr_t start = a0, end;
	struct file *file;

	if (a0 & ~PAGE_MASK)
		return -EINVAL;
	file = attached_part(a0, &start, &end);
	if (!file)
		return -EINVAL;
	segment = file->private;
	shm_detach(segment, a0);
	note_use(segment, &segment->status.detach_time);
	file_put(file);
	return 0;
}

/* ---- shmctl ------------------------------------------------------------------------------------------------------ */

static long tell_status(struct segment *segment, vaddr_t to)
{
	struct shm_status status;
	unsigned long flags;

	if (!permitted(segment, MAY_READ))
		return -EACCES;
	flags = spin_lock_irqsave(&shm_lock);
	status = segment->status;
	spin_unlock_irqrestore(&shm_lock, flags);
	status.nr_attached = nr_attached(segment);
	return copy_to_user(to, &status, sizeof(status)) ? -EFAULT : 0;
}

static long set_owner(struct segment *segment, vaddr_t from)
{
	struct shm_status new, *status = &segment->status;
	unsigned long flags;

	if (copy_from_user(&new, from, sizeof(new)))
		return -EFAULT;
	if (!owned(segment))
		return -EPERM;
	flags = spin_lock_irqsave(&shm_lock);
	status->uid = new.uid;
	status->gid = new.gid;
	WRITE_ONCE(status->mode, (status->mode & ~0777u) | (new.mode & 0777u));
	status->change_time = now();
	spin_unlock_irqrestore(&shm_lock, flags);
	return 0;
}

/* The key is free at once; the last VMA frees the memory. */
static long segment_remove(struct segment *segment)
{
	unsigned long flags;
	bool was_removed;

	if (!owned(segment))
		return -EPERM;
	flags = spin_lock_irqsave(&shm_lock);
	was_removed = segment->removed;
	WRITE_ONCE(segment->removed, true);
	segment->status.key = IPC_PRIVATE;
	forget_key(segment);
	WRITE_ONCE(segment->status.mode, segment->status.mode | SHM_DEST);
	spin_unlock_irqrestore(&shm_lock, flags);
	if (!was_removed)
		file_put(segment->file);
	return 0;
}

/* Only records the flag: reclaim ignores it and may still swap the segment out. */
static long mark_locked(struct segment *segment, bool locked)
{
	unsigned long flags;
	u32 mode;

	if (!owned(segment))
		return -EPERM;
	flags = spin_lock_irqsave(&shm_lock);
	mode = segment->status.mode & ~SHM_LOCKED;
	WRITE_ONCE(segment->status.mode, locked ? mode | SHM_LOCKED : mode);
	spin_unlock_irqrestore(&shm_lock, flags);
	return 0;
}

static long shm_control(struct segment *segment, int command, vaddr_t buffer)
{
	switch (command) {
	case IPC_STAT:
		return tell_status(segment, buffer);
	case IPC_SET:
		return set_owner(segment, buffer);
	case IPC_RMID:
		return segment_remove(segment);
	default:
		return mark_locked(segment, command == SHM_LOCK);
	}
}

static long tell_limits(vaddr_t to)
{
	const struct shm_limits limits = { SHMMAX, 1, SHMMNI, SHMMNI, SHMMAX >> PAGE_SHIFT, { 0 } };

	return copy_to_user(to, &limits, sizeof(limits)) ? -EFAULT : 0;
}

SYSCALL(shmctl)
{
	int command = (int)a1;
	struct segment *segment;
	long answer;

	if ((s32)a0 < 0)
		return -EINVAL;
	if (command == IPC_INFO)
		return tell_limits(a2);
	if (command < IPC_RMID || (command > IPC_STAT && command != SHM_LOCK && command != SHM_UNLOCK))
		return -EINVAL;
	segment = find_by_id((s32)a0);
	if (!segment)
		return -EINVAL;
	answer = shm_control(segment, command, a2);
	file_put(segment->file);
	return answer;
}

void sysv_shm_quiet_release(void)
{
	struct interval_node *node;
	struct file *file;

	assert_may_sleep();
	do {
		unsigned long flags = spin_lock_irqsave(&shm_lock);

		file = NULL;
		interval_tree_for_each (node, &by_id, 0, ~0UL) {
			struct segment *segment = container_of(node, struct segment, by_id);

			if (segment->removed)
				continue;
			segment->removed = true;
			file = segment->file;
			break;
		}
		spin_unlock_irqrestore(&shm_lock, flags);
		if (file)
			file_put(file);
	} while (file);
}
