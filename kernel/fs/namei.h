/* SPDX-License-Identifier: MIT */
/* Path look-up: finds the dentry of a path. */
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
	LOOKUP_FOLLOW = 1,    /* follow a symbolic link at the end */
	LOOKUP_EMPTY = 2,     /* an empty path means dirfd itself */
	LOOKUP_DIRECTORY = 4, /* -ENOTDIR for anything else */
};

/*
 * Looks up a path and stores its dentry, with a reference. A relative path starts at `dirfd`. Returns 0 or -ENOENT,
 * -ENOTDIR, -ELOOP, -ENAMETOOLONG, -EBADF, -ENOMEM, ... Takes fs_tree_lock for reading; sleeps.
 */
int path_lookup(int dirfd, const char *path, u32 flags, struct dentry **result);

/* The last name of a path, which has not been looked up yet. */
enum last_type { LAST_NORM, LAST_ROOT, LAST_DOT, LAST_DOTDOT };
struct last_name {
	enum last_type type;
	struct dentry *dir;   /* with a reference; LAST_ROOT: the result itself */
	struct dentry *root;  /* the root directory, with a reference; ".." leads no higher */
	const char *name;     /* points into the path or `buffer`; not terminated */
	size_t len;	      /* bytes; may exceed NAME_MAX until it is looked up */
	bool wants_directory; /* slashes follow */
	char *buffer;	      /* holds the name when it came from a symbolic link */
	unsigned links;	      /* symbolic links followed so far */
};
/*
 * As path_lookup(), but stops before the last name. Of the flags, only LOOKUP_EMPTY matters. => fs_tree_lock held.
 * Sleeps.
 */
int path_parent(int dirfd, const char *path, u32 flags, struct last_name *last);
/* Drops its references and frees the buffer. */
void last_name_put(struct last_name *last);
/*
 * Returns the dentry of the last name, with a reference, or an error pointer. Does not follow a symbolic link.
 * => fs_tree_lock held.
 */
struct dentry *last_name_lookup(struct last_name *last);
/*
 * Follows a symbolic link: replaces *last by the last name of the path to which it leads. The caller keeps its
 * reference to the link. Returns 0 or an error, which is -ELOOP after MAX_SYMLINKS links. On error the caller must
 * still put *last. => fs_tree_lock held.
 */
int last_name_follow(struct last_name *last, struct dentry *link);

/*
 * Copies a path from user memory. Returns it, to be kfree()d, or an error pointer: -EFAULT, -ENAMETOOLONG, -ENOMEM.
 * Sleeps.
 */
char *path_from_user(u64 addr);
/* path_from_user(), then path_lookup(). */
int user_path_lookup(int dirfd, u64 addr, u32 flags, struct dentry **result);

#endif
