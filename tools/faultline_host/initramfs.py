# SPDX-License-Identifier: MIT
"""
Builds the boot module of a run: a cpio archive with the program, extra files, and the directory .faultline. That
directory tells the kernel what to start: it has argv and env (NUL-terminated strings) and, if the input is known
beforehand, stdin.
"""

import collections.abc
import os
import stat

from . import cpio, share
from .status import UsageError

DEFAULT_ENVIRONMENT = ("PATH=/bin:/usr/bin:/", "HOME=/")


def build(program: str, args: collections.abc.Sequence[str], files: collections.abc.Iterable[tuple[str, str]] = (),
          environment: collections.abc.Iterable[str] = (), stdin: bytes | None = None,
          shared: share.Share | None = None) -> bytes:
    """
    Returns the archive as bytes. `files` are (source, destination) pairs; stdin is bytes, or None for the serial line;
    `shared` is a share.Share, or None.
    """
    archive = cpio.Archive()
    name = place_of(program)
    argv = [program, *args]
    archive.add_file(".faultline/argv", nul_terminated(argv))
    archive.add_file(".faultline/env", nul_terminated(merge_environment(environment)))
    if stdin is not None:
        archive.add_file(".faultline/stdin", stdin)
    add_path(archive, program, name, mode=0o755)
    add_files(archive, files)
    if shared:
        shared.add_to(archive)
    return archive.to_bytes()


def add_files(archive: cpio.Archive, files: collections.abc.Iterable[tuple[str, str]]) -> None:
    """Adds the (source, destination) pairs of --file."""
    for source, destination in files:
        add_path(archive, source, destination)


def place_of(program: str) -> str:
    """
    Returns the path of a program in the machine, without the leading slash. It is the path on the host, applied to the
    machine's root, which is also the first current directory: argv[0] is then what the user typed, and names the
    program.
    """
    parts = [part for part in os.path.normpath(program).split("/") if part not in ("", ".", "..")]
    return "/".join(parts)


def merge_environment(environment: collections.abc.Iterable[str]) -> list[str]:
    merged = dict(pair.split("=", 1) for pair in (*DEFAULT_ENVIRONMENT, *environment))
    return [f"{name}={value}" for name, value in merged.items()]


def add_path(archive: cpio.Archive, source: str, destination: str, mode: int | None = None) -> None:
    """Adds a file, a symbolic link or a whole directory, with its own permissions unless `mode` gives others."""
    try:
        add_what_is_there(archive, source, destination, mode)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or source}: {error.strerror}") from error


def add_what_is_there(archive: cpio.Archive, source: str, destination: str, mode: int | None) -> None:
    if os.path.islink(source) and not os.path.exists(source):
        archive.add_symlink(destination, os.readlink(source))
    elif os.path.isdir(source):
        archive.add_directory(destination)
        for entry in sorted(os.listdir(source)):
            add_what_is_there(archive, os.path.join(source, entry), f"{destination}/{entry}", None)
    elif is_special(source):
        raise UsageError(f"cannot copy {source}: it is a device, a pipe or a socket")
    else:
        with open(source, "rb") as file:
            data = file.read()
        archive.add_file(destination, data, mode or stat.S_IMODE(os.stat(source).st_mode))


def is_special(source: str) -> bool:
    """
    Returns True for what cannot be copied. An unnamed pipe, as of the shell's <(command), can; a FIFO may have no
    writer.
    """
    kind = stat.S_IFMT(os.stat(source).st_mode)
    has_name = not source.startswith(("/dev/fd/", "/proc/"))
    return kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK) or kind == stat.S_IFIFO and has_name


def nul_terminated(strings: collections.abc.Iterable[str]) -> bytes:
    return b"".join(os.fsencode(text) + b"\0" for text in strings)
