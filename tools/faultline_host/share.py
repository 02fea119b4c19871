# SPDX-License-Identifier: MIT
"""
`--share DIR`: copies the directory into the machine, to /share, and brings changes back when the machine ends.
The copy goes in as part of the boot module. It comes back as a cpio archive on a debug console port (kernel/fs/share.h
has the format), which QEMU writes to a file; an archive without its trailer is ignored. putback.py applies it to DIR.
"""

import collections.abc
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile

from . import cpio, putback, status
from .putback import Original
from .status import UsageError

PLACE = "share"  # in the machine, without the leading slash
PORT = 0xED
PAGE = 4096
# these, and signals, explain that nothing came back
BY_THEMSELVES = (status.TIMED_OUT, status.PANIC, status.MACHINE_DIED)


class Share:
    """The shared directory of one run."""

    def __init__(self, directory: str, memory_mib: int, say: collections.abc.Callable[[str], None]) -> None:
        self.directory = checked(directory)
        self.memory_mib, self.say = memory_mib, say
        self.originals: dict[str, Original] = {}  # path below DIR, "." for DIR itself: Original
        self.archive = ""  # the file to which QEMU writes what comes back, once it has one

    def add_to(self, archive: cpio.Archive) -> None:
        """Puts a copy of the directory into the boot module."""
        with readable():
            self._measure()
            for name, found in self._walk():
                self._add(archive, name, found)

    def qemu_arguments(self, scratch: str) -> list[str]:
        self.archive = os.path.join(scratch, "share.cpio")
        return ["-chardev", f"file,id=share,path={self.archive}",
                "-device", f"isa-debugcon,iobase={PORT:#x},chardev=share"]

    def arrived(self) -> int:
        """Returns the number of bytes that have come back so far."""
        return os.path.getsize(self.archive) if self.archive and os.path.exists(self.archive) else 0

    def put_back(self, ended: int) -> int:
        """
        Applies the changes after the machine is off. Returns its status, or HOST_FAILED if not all changes are in DIR.
        """
        if not self.arrived():
            sentences, kept = [f"nothing has come back from /{PLACE}: {self.directory} is as it was"], False
        else:
            sentences, kept = self._apply()
        for sentence in sentences:
            self.say(f"--share: {sentence}")
        if kept:
            self._keep()
        return ended if not sentences or ended in BY_THEMSELVES or ended > 128 else status.HOST_FAILED

    def _apply(self) -> tuple[list[str], bool]:
        with open(self.archive, "rb") as file:
            changes = putback.PutBack(self.directory, self.originals, file)
            try:
                changes.apply()
            except cpio.Incomplete:
                return [f"not all has come back from /{PLACE}, so {self.directory} is as it was"], True
        return changes.sentences, changes.failed

    def _keep(self) -> None:
        descriptor, path = tempfile.mkstemp(prefix="faultline-share-", suffix=".cpio")
        with open(self.archive, "rb") as source, open(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)
        self.say(f"--share: what has come back is kept in {path}, a cpio archive")

    def _path(self, name: str) -> str:
        return self.directory if name == "." else os.path.join(self.directory, name)

    def _walk(self) -> collections.abc.Iterator[tuple[str, os.stat_result]]:
        """Yields (name, os.stat_result) of everything in the directory, parents first."""
        todo = ["."]
        while todo:
            name = todo.pop()
            found = os.lstat(self._path(name))
            yield name, found
            if stat.S_ISDIR(found.st_mode):
                children = sorted(os.listdir(self._path(name)), reverse=True)
                todo += [child if name == "." else f"{name}/{child}" for child in children]

    def _measure(self) -> None:
        """Refuses a directory that is too big, before it is read: the machine holds it twice."""
        room = (self.memory_mib << 20) // 2
        for _, found in self._walk():
            room -= -(-found.st_size // PAGE) * PAGE if stat.S_ISREG(found.st_mode) else 0
            if room < 0:
                raise UsageError(f"--share: {self.directory} is too big: the machine would have to hold it "
                                 f"twice, and has {self.memory_mib}M of memory; --memory gives it more")

    def _add(self, archive: cpio.Archive, name: str, found: os.stat_result) -> None:
        place, mode, time = PLACE if name == "." else f"{PLACE}/{name}", stat.S_IMODE(found.st_mode), found.st_mtime
        if stat.S_ISDIR(found.st_mode):
            archive.add_directory(place, mode, time)
            self.originals[name] = Original(stat.S_IFDIR, mode)
        elif stat.S_ISLNK(found.st_mode):
            target = os.readlink(self._path(name))
            archive.add_symlink(place, target, time)
            self.originals[name] = Original(stat.S_IFLNK, 0, target)
        elif stat.S_ISREG(found.st_mode):
            with open(self._path(name), "rb") as file:
                data = file.read()
            archive.add_file(place, data, mode, time)
            self.originals[name] = Original(stat.S_IFREG, mode, hashlib.sha256(data).digest())
        else:
            self.say(f"--share: {name} is a pipe, a socket or a device: it stays out of the machine")


def checked(directory: str) -> str:
    """Returns the real path; raises UsageError if the directory cannot be shared."""
    if not os.path.lexists(directory):
        raise UsageError(f"--share: there is no directory {directory or '“”'}")
    if not os.path.isdir(directory):
        raise UsageError(f"--share: {directory} is not a directory: name one, and its files are in /{PLACE}")
    with readable():
        os.listdir(directory)
    try:
        os.rmdir(tempfile.mkdtemp(prefix=putback.PREFIX, dir=directory))
    except OSError as error:
        raise UsageError(f"--share: nothing can be written to {directory}, so nothing could come back: "
                         f"{error.strerror}") from error
    return os.path.realpath(directory)


@contextlib.contextmanager
def readable() -> collections.abc.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"--share: cannot read {error.filename}: {error.strerror}") from error
