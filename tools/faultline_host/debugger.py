# SPDX-License-Identifier: MIT
"""
`--gdb`: runs the machine under GDB. QEMU waits before its first instruction; GDB attaches with the symbols of kernel
and program and with the commands of tools/gdb, and stops at the kernel's first 64-bit instruction. The program's stdin
is empty, since the terminal belongs to GDB. `--gdb-script` runs GDB on the commands of a file, without a user; GDB's
exit status is then the tool's.
"""

import argparse
import collections.abc
import contextlib
import os
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import threading

from . import machine, run as runner
from .status import UsageError

STOP_PLUGIN = os.path.join(machine.ROOT, "build", "stop.so")
COMMANDS = os.path.join(machine.ROOT, "tools", "gdb", "faultline.py")


def run(options: argparse.Namespace) -> int:
    if not shutil.which("gdb"):
        raise UsageError("gdb is not installed: run make deps, or install the package gdb")
    with tempfile.TemporaryDirectory(prefix="faultline-gdb-") as scratch:
        link = os.path.join(scratch, "link")
        extra = ["-S", "-chardev", f"socket,id=gdb,path={link},server=on,wait=off", "-gdb", "chardev:gdb",
                 *stop_at(options)]
        if options.reverse:
            ended = record(options, scratch)
            runner.say(f"the run is recorded; it ended with status {ended}. Now it is replayed under GDB")
            extra += time_travel(scratch, "replay")
        script = os.path.join(scratch, "script")
        with open(script, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(start_script(options, link))
        # Ctrl-C is for GDB, which stops the machine. A handler, since GDB would inherit an ignored signal.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        debugger = Debugger(options.gdb_script, link, script)
        ended = runner.boot(options, scratch, extra, stdin=b"", beside=debugger.attach)
        return debugger.status or ended


def stop_at(options: argparse.Namespace) -> list[str]:
    """Returns QEMU's arguments that stop the machine before instruction number `stop_at`."""
    if options.stop_at is None:
        return []
    if not os.path.exists(STOP_PLUGIN):
        raise UsageError("the plugin that stops the machine is not built: run make build/stop.so")
    return ["-plugin", f"{STOP_PLUGIN},at={options.stop_at}"]


# --- Back in time ----------------------------------------------------------------------------------------------------

def time_travel(scratch: str, mode: str) -> list[str]:
    """
    Returns QEMU's arguments to record or to replay. The snapshot of the start, to which reverse execution returns, is
    on a disk of its own. vapic (a workaround for Windows XP) is off, since QEMU 7.2 can deadlock in it on that return.
    """
    disk = os.path.join(scratch, "snapshots")
    if not os.path.exists(disk):
        with open(disk, "wb") as file:
            file.write(empty_qcow2())
    return ["-icount", f"rr={mode},rrfile={os.path.join(scratch, 'recording')},rrsnapshot=start",
            "-drive", f"file={disk},if=none,id=snapshots", "-global", "apic-common.vapic=off"]


def record(options: argparse.Namespace, scratch: str) -> int:
    return runner.boot(options, scratch, time_travel(scratch, "record"), stdin=b"")


def empty_qcow2() -> bytes:
    """Returns a disk of 1 MiB in qcow2 format: header, refcount table, refcount block, L1 table."""
    cluster, bits = 1 << 16, 16
    image = bytearray(4 * cluster)
    struct.pack_into(">4sIQIIQIIQQIIQQQQII", image, 0, b"QFI\xfb", 3, 0, 0, bits, 1 << 20, 0, 1, 3 * cluster, cluster,
                     1, 0, 0, 0, 0, 0, 4, 104)
    struct.pack_into(">Q", image, cluster, 2 * cluster)
    struct.pack_into(">4H", image, 2 * cluster, 1, 1, 1, 1)
    return bytes(image)


# --- GDB -------------------------------------------------------------------------------------------------------------

def start_script(options: argparse.Namespace, link: str) -> str:
    """Returns GDB's start commands. A script can import from its own directory, as in Python itself."""
    beside = os.path.dirname(os.path.abspath(options.gdb_script or COMMANDS))
    kernel = options.kernel or machine.kernel_path(options.release)
    return "\n".join(["set pagination off", "set confirm off", "set width 0", f"file {shlex.quote(kernel)}",
                      # `source` takes the rest of the line as the name
                      f"python import sys; sys.path.insert(0, {beside!r})", f"source {COMMANDS}",
                      f"faultline-attach {shlex.quote(link)} {shlex.quote(options.program or '')}", ""])


class Debugger:
    """GDB next to QEMU; when GDB ends, it ends the machine."""

    def __init__(self, batch: str | None, link: str, script: str) -> None:
        self.link = link
        self.command = ["gdb", "-q", "-nx", "-x", script, *(["-batch", "-x", batch] if batch else [])]
        self.status = 0

    def attach(self, qemu: subprocess.Popen[bytes]) -> collections.abc.Callable[[], None]:
        """Starts GDB; returns a function that waits for its end."""
        if not is_ready(qemu, self.link):
            return lambda: None
        gdb = subprocess.Popen(self.command)

        def end_with_gdb() -> None:
            self.status = gdb.wait()
            qemu.terminate()

        thread = threading.Thread(target=end_with_gdb, daemon=True)
        thread.start()
        return thread.join


def is_ready(qemu: subprocess.Popen[bytes], link: str) -> bool:
    """Returns False if QEMU has ended. QEMU creates the socket before it checks its other arguments."""
    is_there = False
    while not is_there:
        is_there = os.path.exists(link)
        with contextlib.suppress(subprocess.TimeoutExpired):
            qemu.wait(0.05)
            return False
    return True
