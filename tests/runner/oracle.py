# SPDX-License-Identifier: MIT
"""
Runs the same binary on the host's Linux, with the same arguments, files, environment and input, as an oracle. Also
finds out in which ways this Linux, as built and set up, is unusual, so that some programs cannot be compared with it.
"""

import contextlib
import functools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading

from faultline_host import initramfs

from . import ROOT

Answer = tuple[int, bytes, bytes]  # status as a shell sees it, stdout, stderr

PATIENCE = 600  # seconds
STACK = 8 << 20
LOCKS: dict[str, threading.Lock] = {}  # by program, so that no question is asked twice at the same time


def on_linux(program: str, args: tuple[str, ...], files: tuple[tuple[str, str], ...], environment: tuple[str, ...],
             stdin: bytes) -> Answer:
    """Returns (status as a shell sees it, stdout, stderr). Arguments are tuples, so that results can be cached."""
    with LOCKS.setdefault(program, threading.Lock()):
        return ask(program, args, files, environment, stdin)


@functools.lru_cache(maxsize=None)
def ask(program: str, args: tuple[str, ...], files: tuple[tuple[str, str], ...], environment: tuple[str, ...],
        stdin: bytes) -> Answer:
    env = dict(pair.split("=", 1) for pair in initramfs.merge_environment(environment))
    with tempfile.TemporaryDirectory(prefix="faultline-oracle-") as root:
        for source, destination in files:
            place(os.path.join(ROOT, source), os.path.join(root, destination))
        place(os.path.join(ROOT, program), os.path.join(root, initramfs.place_of(program)))
        result = subprocess.run([program, *args], executable=os.path.join(ROOT, program), cwd=root, env=env,
                                input=stdin, capture_output=True, timeout=PATIENCE, check=False,
                                preexec_fn=usual_limits)
    status = result.returncode if result.returncode >= 0 else 128 - result.returncode
    return status, result.stdout, result.stderr


def usual_limits() -> None:
    """Sets the limits and the priority of a fresh Linux, which Faultline has, too, independent of this shell's."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def place(source: str, destination: str) -> None:
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, destination)
    else:
        shutil.copy(source, destination)


PROBED_KIB = 16384
PROBE = f"""
import mmap, re
def anonymous_kib():
    with open("/proc/self/smaps", encoding="utf-8") as file:
        return sum(map(int, re.findall(r"^Anonymous: +(\\d+) kB", file.read(), re.MULTILINE)))
before = anonymous_kib()
memory = mmap.mmap(-1, {PROBED_KIB} * 1024, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for place in range(0, len(memory), mmap.PAGESIZE):
    memory[place]
print(anonymous_kib() - before)
"""


def has_zero_page() -> bool:
    """
    Returns whether reading untouched memory takes none, since all pages are the zero page. Asks a process that does
    nothing else.
    """
    result = subprocess.run([sys.executable, "-S", "-c", PROBE], capture_output=True, text=True, check=True)
    return int(result.stdout) < PROBED_KIB / 2


def protects_low_addresses() -> bool:
    try:
        with open("/proc/sys/vm/mmap_min_addr", encoding="ascii") as file:
            return int(file.read()) == 65536
    except OSError:
        return False


PROPERTIES = {
    "zero-page": (has_zero_page, "maps a page of its own where untouched memory is read"),
    "min-addr": (protects_low_addresses, "has not set vm.mmap_min_addr to 65536"),
}


@functools.lru_cache(maxsize=None)
def why_not(properties: tuple[str, ...]) -> str:
    """Returns why this Linux cannot be compared with for a program that needs these PROPERTIES; empty if it can."""
    return " and ".join(lack for holds, lack in (PROPERTIES[name] for name in properties) if not holds())
