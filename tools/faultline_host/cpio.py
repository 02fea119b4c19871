# SPDX-License-Identifier: MIT
"""A writer of "newc" cpio archives, the format that initramfs images have (Linux: initramfs-buffer-format.rst)."""

import os
import stat


class Archive:
    """Collects entries in order. Every entry has the owner root and the time 0, so equal content gives equal bytes."""

    def __init__(self):
        self._parts = []
        self._inode = 0
        self._directories = set()

    def add_file(self, path, data, mode=0o644):
        self._add_parents(path)
        self._entry(path, stat.S_IFREG | mode, data, links=1)

    def add_symlink(self, path, target):
        self._add_parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, os.fsencode(target), links=1)

    def add_directory(self, path, mode=0o755):
        if path and path not in self._directories:
            self._add_parents(path)
            self._directories.add(path)
            self._entry(path, stat.S_IFDIR | mode, b"", links=2)

    def bytes(self):
        trailer = self._header("TRAILER!!!", 0, 0, 1, 0)
        return b"".join(self._parts) + trailer

    def _add_parents(self, path):
        parent = path.rpartition("/")[0]
        if parent:
            self.add_directory(parent)

    def _entry(self, path, mode, data, links):
        self._inode += 1
        self._parts.append(self._header(path, self._inode, mode, links, len(data)))
        self._parts.append(data + b"\0" * (-len(data) % 4))

    @staticmethod
    def _header(path, inode, mode, links, size):
        name = os.fsencode(path) + b"\0"
        # inode mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = (inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        return header + b"\0" * (-len(header) % 4)
