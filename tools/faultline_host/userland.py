# SPDX-License-Identifier: MIT
"""
The boot module of a shell: a cpio archive with BusyBox as /init, the files of user/rootfs and the programs of user/.
The links for BusyBox's commands are made in the machine, by its own --install.

Programs meant for users are in /usr/bin, and the shell's `help` lists them; all others are tests, in the last
directory of the PATH.
"""

import collections.abc
import os

from . import cpio, initramfs, machine, options, share
from .status import UsageError

INIT = "/init"
BUSYBOX = "/bin/busybox"  # the path of Debian's busybox-static
ROOTFS = os.path.join(machine.ROOT, "user", "rootfs")
PROGRAMS = os.path.join(machine.ROOT, "build", "user")
TESTS = "usr/lib/faultline/tests"
FOR_PEOPLE = {
    "bench": "what a fault costs: bench rows; tools/faultline bench, on the host, goes through all policies",
    "demo": "the same faults resolved in each of the three ways, with the reasons",
    "faulttop": "faults per second, live: strategies, reasons, kinds, threads; faulttop PROGRAM watches one",
    "swapon": "mkswap /dev/ramN, then swapon -p PRIORITY /dev/ramN (--disk makes one); the rest is BusyBox's",
    "tour": "the scenes of GDB's guided tours, for --cpus 3 --swap 1M",
}
EMPTY_DIRECTORIES = ("mnt", "root", "sbin", "usr/sbin", "var/log")


def build(files: collections.abc.Iterable[tuple[str, str]] = (), environment: collections.abc.Iterable[str] = (),
          stdin: bytes | None = None, shared: share.Share | None = None) -> bytes:
    """Returns the archive as bytes. For `files` and the other arguments see initramfs.build()."""
    archive = cpio.Archive()
    archive.add_file(".faultline/env", initramfs.nul_terminated(merge_terminal(environment)))
    if stdin is not None:
        archive.add_file(".faultline/stdin", stdin)
    initramfs.add_path(archive, busybox(), "bin/busybox", mode=0o755)
    archive.add_symlink("bin/sh", "busybox")
    archive.add_symlink(INIT.lstrip("/"), "bin/busybox")
    initramfs.add_path(archive, os.path.join(ROOTFS, "etc"), "etc")
    for name in EMPTY_DIRECTORIES:
        archive.add_directory(name)
    archive.add_symlink("etc/mtab", "/proc/mounts")
    archive.add_symlink("var/tmp", "/tmp")
    for name in programs():
        initramfs.add_path(archive, os.path.join(PROGRAMS, name),
                           f"{'usr/bin' if name in FOR_PEOPLE else TESTS}/{name}")
    archive.add_file("etc/help", help_text().encode())
    initramfs.add_files(archive, files)
    if shared:
        shared.add_to(archive)
    return archive.to_bytes()


def busybox() -> str:
    if not os.path.exists(BUSYBOX):
        raise UsageError("BusyBox is not installed: run make deps, or install the package busybox-static")
    return options.program_file(BUSYBOX)


def programs() -> list[str]:
    """Returns the names of the programs that `make user` has built."""
    if not os.path.isdir(PROGRAMS):
        raise UsageError("the programs of user/ are not built: run make user")
    return [name for name in sorted(os.listdir(PROGRAMS)) if not name.endswith(".d")]


def help_text() -> str:
    rows = "".join(f"  {name:10} {what}\n" for name, what in FOR_PEOPLE.items())
    return (f"Programs of Faultline, in /usr/bin:\n{rows}"
            f"Its tests, in /{TESTS}, run by their names too: cow, races, mmfuzz, …\n"
            "Commands of BusyBox: busybox lists them, COMMAND --help explains one.\n")


def merge_terminal(environment: collections.abc.Iterable[str]) -> list[str]:
    """Returns the environment of init: the host terminal's name, unless --env gives another."""
    terminal = os.environ.get("TERM")
    return initramfs.merge_environment((*([f"TERM={terminal}"] if terminal else []), *environment))
