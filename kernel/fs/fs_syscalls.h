/* SPDX-License-Identifier: MIT */
/*
 * The system calls on files. All have the signature of kernel/syscall.h, may sleep, and return Linux's errors. An int
 * argument is in the low half of its register. A comment names the file that implements each group.
 */
#ifndef KERNEL_FS_SYSCALLS_H
#define KERNEL_FS_SYSCALLS_H

#include "kernel/syscall.h"

/* read_write.c */
SYSCALL(read);
SYSCALL(write);
SYSCALL(readv);
SYSCALL(writev);
SYSCALL(pread64);
SYSCALL(pwrite64);
SYSCALL(preadv);
SYSCALL(pwritev);
SYSCALL(preadv2);
SYSCALL(pwritev2);
SYSCALL(lseek);
SYSCALL(sendfile);
/* open.c */
SYSCALL(open);
SYSCALL(openat);
SYSCALL(creat);
SYSCALL(close);
SYSCALL(close_range);
SYSCALL(truncate);
SYSCALL(ftruncate);
SYSCALL(fallocate);
SYSCALL(fsync);
SYSCALL(fdatasync);
SYSCALL(sync);
SYSCALL(syncfs);
SYSCALL(fadvise64);
/* mount.c */
SYSCALL(mount);
SYSCALL(umount2);
/* descriptors.c */
SYSCALL(dup);
SYSCALL(dup2);
SYSCALL(dup3);
SYSCALL(fcntl);
SYSCALL(ioctl);
/* stat.c */
SYSCALL(stat);
SYSCALL(lstat);
SYSCALL(fstat);
SYSCALL(newfstatat);
SYSCALL(statx);
SYSCALL(statfs);
SYSCALL(fstatfs);
/* attributes.c */
SYSCALL(access);
SYSCALL(faccessat);
SYSCALL(faccessat2);
SYSCALL(chmod);
SYSCALL(fchmod);
SYSCALL(fchmodat);
SYSCALL(fchmodat2);
SYSCALL(chown);
SYSCALL(fchown);
SYSCALL(lchown);
SYSCALL(fchownat);
SYSCALL(utime);
SYSCALL(utimes);
SYSCALL(utimensat);
SYSCALL(futimesat);
SYSCALL(umask);
/* names.c */
SYSCALL(mkdir);
SYSCALL(mkdirat);
SYSCALL(mknod);
SYSCALL(mknodat);
SYSCALL(rmdir);
SYSCALL(unlink);
SYSCALL(unlinkat);
SYSCALL(link);
SYSCALL(linkat);
SYSCALL(symlink);
SYSCALL(symlinkat);
SYSCALL(readlink);
SYSCALL(readlinkat);
SYSCALL(chdir);
SYSCALL(fchdir);
SYSCALL(getcwd);
/* rename.c */
SYSCALL(rename);
SYSCALL(renameat);
SYSCALL(renameat2);
/* getdents.c */
SYSCALL(getdents64);
/* pipe.c, memfd.c */
SYSCALL(pipe);
SYSCALL(pipe2);
SYSCALL(memfd_create);
/* poll.c */
SYSCALL(poll);
SYSCALL(ppoll);

#endif
