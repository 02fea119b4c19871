/* SPDX-License-Identifier: MIT */
/* Walking paths. */
#ifndef KERNEL_FS_NAMEI_H
#define KERNEL_FS_NAMEI_H

#include "kernel/fs/inode.h"

#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_REMOVEDIR 0x200
#define AT_EACCESS 0x200
#define AT_SYMLINK_FOLLOW 0x400
#define AT_NO_AUTOMOUNT 0x800
#define AT_EMPTY_PATH 0x1000

enum lookup_flags {
	LOOKUP_FOLLOW = 1,    /* a symbolic link at the end */
	LOOKUP_EMPTY = 2,     /* an empty path means dirfd itself */
	LOOKUP_DIRECTORY = 4, /* -ENOTDIR for anything else */
};

/*
 * The dentry of a path, with a reference. `dirfd`: where a relative path starts. 0 or -ENOENT, -ENOTDIR, -ELOOP,
 * -ENAMETOOLONG, -EBADF, -ENOMEM, ... Takes fs_tree_lock for reading; sleeps.
 */
int path_lookup(int dirfd, const char *path, u32 flags, struct dentry **result);

/* The last step of a path, which was not yet taken. */
enum last_type { LAST_NORM, LAST_ROOT, LAST_DOT, LAST_DOTDOT };
struct last_name {
	enum last_type type;
	struct dentry *dir;   /* with a reference; LAST_ROOT: the root */
	struct dentry *root;  /* where paths begin, with a reference; ".." leads no higher */
	const char *name;     /* inside the path or `buffer`; not terminated */
	size_t len;	      /* bytes; may exceed NAME_MAX until it is looked up */
	bool wants_directory; /* slashes follow */
	char *buffer;	      /* holds the name when it came from a symbolic link */
	unsigned links;	      /* symbolic links followed so far */
};
/* As path_lookup(), but stops before the last name; LOOKUP_EMPTY counts. => fs_tree_lock held. Sleeps. */
int path_parent(int dirfd, const char *path, u32 flags, struct last_name *last);
/* Drops what it refers to. */
void last_name_put(struct last_name *last);
/*
 * The dentry of that last name, with a reference, or an error pointer. Does not follow a symbolic link. => fs_tree_lock
 * held.
 */
struct dentry *last_name_lookup(struct last_name *last);
/*
 * Replaces *last by the last step of where the symbolic link (whose reference stays the caller's) leads. -ELOOP when
 * there were MAX_SYMLINKS before. On error *last is still to be put. => fs_tree_lock held.
 */
int last_name_follow(struct last_name *last, struct dentry *link);

/* A path that user mode handed over, to be kfree()d; or an error pointer: -EFAULT, -ENAMETOOLONG, -ENOMEM. Sleeps. */
char *path_from_user(u64 addr);
/* path_from_user(), then path_lookup(). */
int user_path_lookup(int dirfd, u64 addr, u32 flags, struct dentry **result);

#endif
