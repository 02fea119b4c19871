# SPDX-License-Identifier: MIT
"""
`--gdb`: QEMU waits before its first instruction, GDB attaches with the symbols of kernel and program, and stops at the
kernel's first 64-bit instruction. The program's stdin is empty, since the terminal belongs to GDB.
"""

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

ET_EXEC = 2


def run(options):
    if not shutil.which("gdb"):
        raise UsageError("gdb is not installed: run make deps, or install the package gdb")
    with tempfile.TemporaryDirectory(prefix="faultline-gdb-") as scratch:
        link = os.path.join(scratch, "link")
        extra = ["-S", "-chardev", f"socket,id=gdb,path={link},server=on,wait=off", "-gdb", "chardev:gdb"]
        script = os.path.join(scratch, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write(gdb_script(options, link))
        # Ctrl-C is for GDB, to stop the machine. A handler, since an ignored signal would stay ignored in GDB.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        return runner.boot(options, scratch, extra, stdin=b"", beside=lambda qemu: attach(qemu, link, script))


def gdb_script(options, link):
    kernel = options.kernel or machine.kernel_path(options.release)
    lines = ["set pagination off", "set confirm off", f"file {shlex.quote(kernel)}"]
    if is_fixed(options.program):
        lines.append(f"add-symbol-file {shlex.quote(options.program)}")
    lines += [f"target remote {link}", "hbreak kernel_start64", "continue",
              "echo At the kernel's 64-bit entry. Try: break fault_in, continue, bt\\n"]
    return "\n".join(lines) + "\n"


def is_fixed(program):
    """Is it linked to fixed addresses? Where a PIE lands only the running kernel knows."""
    with open(program, "rb") as file:
        start = file.read(18)
    return len(start) == 18 and struct.unpack_from("<H", start, 16)[0] == ET_EXEC


def attach(qemu, link, script):
    """Start GDB beside QEMU; when GDB ends, so does the machine. Returns what waits for GDB's end."""
    wait_for(qemu, link)
    gdb = subprocess.Popen(["gdb", "-q", "-nx", "-x", script])

    def end_with_gdb():
        gdb.wait()
        qemu.terminate()

    threading.Thread(target=end_with_gdb, daemon=True).start()
    return gdb.wait


def wait_for(qemu, link):
    while not os.path.exists(link):
        try:
            qemu.wait(0.05)
            return
        except subprocess.TimeoutExpired:
            pass
