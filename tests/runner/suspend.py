# SPDX-License-Identifier: MIT
"""
Tests a host that is suspended: QEMU is stopped for longer than the kernel's limit for hangs, and continued. Nothing has
hung, so the kernel must report nothing. Runs as `tests/suspend`, like any other job.
"""

import os
import signal
import subprocess
import time

from . import OUTPUT, ROOT
from .job import Job, Result

RUN_SECONDS = 1.0  # before the stop and after it
STOPPED_SECONDS = 4.0  # above the limit, hang=1
PROGRAM = ["build/user/hang", "busy", "7"]


def jobs(kernel: str | None = None) -> list[Job]:
    image = ["--kernel", kernel] if kernel else []
    return [Job(name="suspend", command=["tests/suspend", *image], judge=judge, weight=4)]


def judge(result: Result) -> list[str]:
    return [] if result.status == 0 else [result.stdout.decode(errors="replace") + f"exit status {result.status}"]


def main(*options: str) -> int:
    """Returns 0, or 1 and prints what the kernel reported."""
    log = os.path.join(OUTPUT, "suspend.machine.log")
    command = [os.path.join(ROOT, "tools", "faultline"), "run", "--cpus", "3", "--append", "hang=1", "--log", log,
               *options]
    with subprocess.Popen([*command, *PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as tool:
        assert tool.stdout
        tool.stdout.readline()  # the program is busy
        time.sleep(RUN_SECONDS)
        qemu = only_child(tool.pid)
        os.kill(qemu, signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        os.kill(qemu, signal.SIGCONT)
    with open(log, encoding="utf-8", errors="replace") as file:
        told = [line for line in file if "FAULTLINE-HANG" in line]
    print("".join(told), end="")
    return 1 if told or tool.returncode else 0


def only_child(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        child, = file.read().split()
    return int(child)
