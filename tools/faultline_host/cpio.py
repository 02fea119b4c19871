# SPDX-License-Identifier: MIT
"""
A writer and a reader of "newc" cpio archives, the format that initramfs images have (Linux:
initramfs-buffer-format.rst).
"""

import collections.abc
import dataclasses
import os
import stat
import typing

HEADER = 110
MAGIC = b"070701"
TRAILER = "TRAILER!!!"


class Archive:
    """
    Collects entries in order. Every entry belongs to root and has time 0 unless a time is given, so equal content gives
    equal bytes.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0
        self._directories: set[str] = set()

    def add_file(self, path: str, data: bytes, mode: int = 0o644, time: float = 0) -> None:
        self._add_parents(path)
        self._entry(path, stat.S_IFREG | mode, data, links=1, time=time)

    def add_names(self, paths: collections.abc.Sequence[str], data: bytes) -> None:
        """Adds a file of several names as GNU cpio does: the last one has the contents."""
        for path in paths:
            self._add_parents(path)
            self._entry(path, stat.S_IFREG | 0o644, data if path == paths[-1] else b"", links=len(paths), time=0)
            self._inode -= 1
        self._inode += 1

    def add_symlink(self, path: str, target: str, time: float = 0) -> None:
        self._add_parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, os.fsencode(target), links=1, time=time)

    def add_directory(self, path: str, mode: int = 0o755, time: float = 0) -> None:
        if path and path not in self._directories:
            self._add_parents(path)
            self._directories.add(path)
            self._entry(path, stat.S_IFDIR | mode, b"", links=2, time=time)

    def to_bytes(self) -> bytes:
        trailer = self._header(TRAILER, 0, 0, 1, 0, 0)
        return b"".join(self._parts) + trailer

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent:
            self.add_directory(parent)

    def _entry(self, path: str, mode: int, data: bytes, links: int, time: float) -> None:
        self._inode += 1
        self._parts.append(self._header(path, self._inode, mode, links, len(data), time))
        self._parts.append(data + b"\0" * (-len(data) % 4))

    @staticmethod
    def _header(path: str, inode: int, mode: int, links: int, size: int, time: float) -> bytes:
        name = os.fsencode(path) + b"\0"
        # inode mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = (inode, mode, 0, 0, links, min(max(int(time), 0), 0xFFFFFFFF), size, 0, 0, 0, 0, len(name), 0)
        header = MAGIC + b"".join(b"%08X" % field for field in fields) + name
        return header + b"\0" * (-len(header) % 4)


class Incomplete(Exception):
    """The archive ends before its trailer, or is not a cpio archive."""


@dataclasses.dataclass
class Entry:
    path: str
    inode: int
    mode: int  # with the file type
    rdev: int
    start: int  # of the contents in the archive
    size: int


def entries(file: typing.IO[bytes]) -> collections.abc.Iterator[Entry]:
    """Yields the entries of an archive, a binary file, up to its trailer."""
    while True:
        header = file.read(HEADER)
        try:
            fields = [int(header[at:at + 8], 16) for at in range(len(MAGIC), HEADER, 8)]
        except ValueError:
            fields = []
        if len(header) < HEADER or not header.startswith(MAGIC) or len(fields) != 13:
            raise Incomplete
        name = file.read(fields[11] + -(HEADER + fields[11]) % 4)[:fields[11]]
        if not name.endswith(b"\0"):
            raise Incomplete
        path = os.fsdecode(name[:-1])
        if path == TRAILER:
            return
        start, size = file.tell(), fields[6]
        yield Entry(path, fields[0], fields[1], fields[9] << 8 | fields[10], start, size)
        file.seek(start + size + -size % 4)
