# SPDX-License-Identifier: MIT
"""
Applies the files that a machine has sent back (share.py) to the directory that they were copied from.

It writes nothing outside the directory, whatever the archive contains: each path is walked from the directory's own
descriptor without following links, and a link that leads outside is not created. A file that has changed on the host
since it was copied is not overwritten: the machine's version is put next to it, as NAME.machine. All contents are
written first, under temporary names, so that a full disk changes nothing.
"""

import collections.abc
import contextlib
import dataclasses
import errno
import hashlib
import os
import shutil
import signal
import stat
import tempfile
import typing

from . import cpio

PREFIX = ".faultline-share-"  # of the directory for contents that are not in place yet
BLOCK = 1 << 20
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclasses.dataclass(frozen=True)
class Original:
    """The state of a name. `content`: a file's digest, or a link's target. The mode of a link is ignored."""
    kind: int  # stat.S_IFREG, …
    mode: int
    content: str | bytes | None = None


def original(name: str, directory: int) -> Original | None:
    """Returns the current state of `name` in the directory of that descriptor, or None if there is none."""
    try:
        status = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    if kind == stat.S_IFLNK:
        return Original(kind, 0, os.readlink(name, dir_fd=directory))
    if kind == stat.S_IFREG:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        with open(descriptor, "rb") as file:
            return Original(kind, mode, digest(file))
    return Original(kind, mode)


def digest(file: typing.IO[bytes]) -> bytes:
    found = hashlib.sha256()
    while block := file.read(BLOCK):
        found.update(block)
    return found.digest()


class PutBack:
    """
    `originals` maps paths to what was copied into the machine; "." is the directory itself. `archive` is a binary file.
    """

    def __init__(self, directory: str, originals: collections.abc.Mapping[str, Original | None],
                 archive: typing.IO[bytes]) -> None:
        self.directory, self.originals, self.archive = directory, originals, archive
        self.sentences: list[str] = []
        self.failed = False
        self.staged: dict[str, tuple[str, Original]] = {}  # by path; the name in the staging directory
        # paths of regular files that are in place, by inode: further names of a file are links to it
        self.placed: dict[int, str] = {}
        self.moved: dict[str, str] = {}  # by path, the path that was used instead
        self.modes: list[tuple[str, int]] = []  # (path, mode) of directories, set last, since a mode may forbid writing

    def apply(self) -> None:
        """
        Sets `sentences`, the messages, and `failed` if the archive is still needed. Changes nothing on cpio.Incomplete.
        """
        entries = list(cpio.entries(self.archive))
        gone = [entry.path for entry in entries if is_gone(entry)]
        if "." in gone:
            self.sentences.append(f"/share is gone in the machine: {self.directory} stays as it was")
            return
        with undisturbed(), self._staging() as self.stage:
            if self.stage is not None:
                self._apply([entry for entry in entries if not is_gone(entry) and self._is_inside(entry.path)],
                            [path for path in gone if self._is_inside(path)])

    def _apply(self, entries: list[cpio.Entry], gone: list[str]) -> None:
        try:
            for entry in entries:
                self._write_contents(entry)
        except OSError as error:
            self._fails(f"what has come back cannot be written to {self.directory}, which is as it was: "
                        f"{error.strerror}")
            return
        for path in reversed(gone):
            self._try(path, self._remove)
        for entry in entries:
            self._try(entry.path, self._put, entry)
        for path, mode in reversed(self.modes):
            self._try(path, self._set_mode, mode)

    def _fails(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.failed = True

    def _try(self, path: str, action: collections.abc.Callable[..., None], *arguments: object) -> None:
        try:
            with self._parent(path) as parent:
                action(path, parent, *arguments)
        except OSError as error:
            self._fails(f"{path} could not be put back: {error.strerror}")

    # --- Where things are ---

    def _is_inside(self, path: str) -> bool:
        inside = path == "." or not ("\0" in path or {"", ".", ".."} & set(path.split("/")))
        if not inside:
            self._fails(f"“{path}” is no name below {self.directory}: it was left out")
        return inside

    @contextlib.contextmanager
    def _staging(self) -> collections.abc.Iterator[int | None]:
        """Yields the descriptor of a temporary directory for new contents, or None if it cannot be created."""
        try:
            path = tempfile.mkdtemp(prefix=PREFIX, dir=self.directory)
        except OSError as error:
            self._fails(f"nothing can be written to {self.directory}, which is as it was: {error.strerror}")
            yield None
            return
        descriptor = os.open(path, DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
            shutil.rmtree(path, ignore_errors=True)

    def _where(self, path: str) -> str:
        """Returns the path with each name replaced that could not be used (self.moved)."""
        head, slash, tail = path.rpartition("/")
        there = self._where(head) + slash + tail if head else path
        return self.moved.get(there, there)

    @contextlib.contextmanager
    def _parent(self, path: str) -> collections.abc.Iterator[int]:
        """Yields the descriptor of the path's parent directory; recreates directories that were removed on the host."""
        head = self._where(path.rpartition("/")[0]) if "/" in path else ""
        descriptor = os.open(self.directory, DIRECTORY)
        try:
            for part in filter(None, head.split("/")):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=descriptor)
                below = os.open(part, DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    # --- Contents ---

    def _write_contents(self, entry: cpio.Entry) -> None:
        if not stat.S_ISREG(entry.mode):
            return
        name, left = str(len(self.staged)), entry.size
        self.archive.seek(entry.start)
        found = hashlib.sha256()
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.stage),
                  "wb") as file:
            while block := self.archive.read(min(BLOCK, left)):
                found.update(block)
                file.write(block)
                left -= len(block)
            os.fchmod(file.fileno(), entry.mode & 0o777)
        self.staged[entry.path] = name, Original(stat.S_IFREG, entry.mode & 0o777, found.digest())

    def _wanted(self, entry: cpio.Entry) -> Original:
        """Returns the state that the machine has at this path."""
        if stat.S_ISREG(entry.mode):
            return self.staged[entry.path][1]
        if stat.S_ISLNK(entry.mode):
            self.archive.seek(entry.start)
            return Original(stat.S_IFLNK, 0, os.fsdecode(self.archive.read(entry.size)))
        return Original(stat.S_IFMT(entry.mode), entry.mode & 0o777)

    # --- Changes ---

    def _remove(self, path: str, parent: int) -> None:
        name, was = path.rpartition("/")[2], self.originals.get(path)
        now = original(name, parent)
        if now is None or was is None:
            return
        if now != was and stat.S_IFDIR not in (now.kind, was.kind) or now.kind != was.kind:
            self.sentences.append(f"{path} is gone in the machine, but has changed here meanwhile: it stays")
        elif now.kind != stat.S_IFDIR:
            os.unlink(name, dir_fd=parent)
        else:
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                self.sentences.append(f"{path} is gone in the machine, but is not empty here: it stays")

    def _put(self, path: str, parent: int, entry: cpio.Entry) -> None:
        if path == ".":
            self.modes.append((path, entry.mode & 0o777))
            return
        name, wanted = path.rpartition("/")[2], self._wanted(entry)
        now, was = original(name, parent), self.originals.get(path)
        if wanted.kind == stat.S_IFLNK and leads_out(path, str(wanted.content)):
            self._fails(f"{path} is a link to {wanted.content!s}, out of the directory: it was left out")
        elif now != wanted or entry.inode in self.placed:
            name = self._make_room(path, name, parent, now, was, wanted)
            self._place(path, name, parent, entry, wanted)

    def _make_room(self, path: str, name: str, parent: int, now: Original | None, was: Original | None,
                   wanted: Original) -> str:
        """Removes what is in the way if it is unchanged since it was copied; otherwise returns another name."""
        if now is None or now.kind == wanted.kind == stat.S_IFDIR:
            return name
        if now == was and (now.kind == stat.S_IFDIR or wanted.kind == stat.S_IFDIR):
            with contextlib.suppress(OSError):
                (os.rmdir if now.kind == stat.S_IFDIR else os.unlink)(name, dir_fd=parent)
                return name
        elif now == was:
            return name
        other = next(name for name in other_names(name) if original(name, parent) is None)
        there = self._where(path)
        self.moved[there] = there[:len(there) - len(name)] + other
        self.sentences.append(f"{path} has changed here meanwhile, and stays: the machine's is {self.moved[there]}")
        return other

    def _place(self, path: str, name: str, parent: int, entry: cpio.Entry, wanted: Original) -> None:
        if wanted.kind == stat.S_IFDIR:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            self.modes.append((path, wanted.mode))
            return
        staged = self._staged(path, entry, wanted)
        with contextlib.suppress(FileNotFoundError, PermissionError):  # only root can keep the file's owner
            status = os.lstat(name, dir_fd=parent)
            os.chown(staged, status.st_uid, status.st_gid, dir_fd=self.stage, follow_symlinks=False)
        os.rename(staged, name, src_dir_fd=self.stage, dst_dir_fd=parent)
        if wanted.kind == stat.S_IFREG:
            self.placed.setdefault(entry.inode, self._where(path))

    def _staged(self, path: str, entry: cpio.Entry, wanted: Original) -> str:
        """Returns the name in the staging directory of the new file or link."""
        if wanted.kind == stat.S_IFLNK:
            os.symlink(str(wanted.content), "link", dir_fd=self.stage)
            return "link"
        name = self.staged[path][0]
        if entry.inode in self.placed:
            first = self.placed[entry.inode]
            with self._parent(first) as parent:
                os.unlink(name, dir_fd=self.stage)
                os.link(first.rpartition("/")[2], name, src_dir_fd=parent, dst_dir_fd=self.stage, follow_symlinks=False)
        return name

    def _set_mode(self, path: str, parent: int, mode: int) -> None:
        name = "." if path == "." else self._where(path).rpartition("/")[2]
        descriptor = os.open(name, DIRECTORY, dir_fd=parent)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def is_gone(entry: cpio.Entry) -> bool:
    return stat.S_ISCHR(entry.mode) and not entry.rdev


def other_names(name: str) -> collections.abc.Iterator[str]:
    yield f"{name}.machine"
    number = 2
    while True:
        yield f"{name}.machine{number}"
        number += 1


def leads_out(path: str, target: str) -> bool:
    """
    Returns whether a link at that path leads out of the directory; does not detect one that does so through other
    links.
    """
    there = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return os.path.isabs(target) or there == ".." or there.startswith("../")


@contextlib.contextmanager
def undisturbed() -> collections.abc.Iterator[None]:
    """Blocks the signals that end this process until the work is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
