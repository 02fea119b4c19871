# SPDX-License-Identifier: MIT
"""Tests of the GDB commands: each script of tests/gdb/ runs inside GDB, attached to one boot."""

import os
import re

from . import scenario
from .job import Job


TOURS = ("demand-zero", "cow", "speculation", "swap-in", "shootdown")


def cases():
    """Script, options of `tools/faultline run`, program and its arguments."""
    stage = ["--cpus", "3", "--swap", "1M"]
    reasons = next(one["args"] for one in scenario.load("test") if one["name"] == "reasons")
    return (
        ("attach", ["--cpus", "3"], ["hello-pie"]),
        ("commands", stage, ["reasons", "spf_abort_odd_count"]),
        ("events", stage, ["reasons", "spf_abort_no_anon_vma", "spf_abort_swap_not_cached"]),
        ("tour", ["--deterministic", *stage], ["tour"]),
        ("why", stage, ["reasons", *reasons]),
    )


def jobs(kernel=None):
    """One job for each case; `kernel` replaces the kernel image."""
    twice = Job(name="gdb/stop_at", command=["sh", "tests/gdb/stop_at.sh"], judge=judge, weight=4, limit=60)
    return [job(script, ["--kernel", kernel, *options] if kernel else options, program)
            for script, options, program in cases()] + ([] if kernel else [twice])


def soak_jobs():
    """Each tour by itself, started as it says; and back in time, which replays the run from its start for each step."""
    return [job("tour", ["--deterministic", "--cpus", "3", "--swap", "1M"], ["tour", name], f"tour-{name}") for name in TOURS] \
        + [job("reverse", ["--cpus", "1", "--reverse"], ["hello"])]


def job(script, options, program, name=None):
    path = os.path.join("tests", "gdb", f"{script}.py")
    return Job(name=f"gdb/{name or script}", has_log=True, judge=judge, weight=8, limit=300,
               command=["tools/faultline", "run", *options, "--gdb-script", path, f"build/user/{program[0]}", *program[1:]])


def judge(result):
    said = (result.stdout + result.stderr).decode(errors="replace")
    failed = re.findall(r"^FAIL (.*(?:\n(?!ok |FAIL |\d+ checks).*)*)", said, re.MULTILINE)
    complaints = failed + ([f"exit status {result.status}, expected 0"] if result.status else [])
    if not re.search(r"^[1-9]\d* checks, 0 failed$", said, re.MULTILINE):
        complaints.append("the script did not come to its end: " + said[-2000:])
    return complaints
