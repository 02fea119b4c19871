# SPDX-License-Identifier: MIT
"""
A planted failure for each kind of test, which the test's judge must find: a check that cannot fail proves nothing.
"""

import os

from faultline_host import status

from . import OUTPUT, bugs, debugger, host, machines, panics, scenario, shell, tool
from .job import Job, Judge, Result

DIES = "from harness import *\ncheck('so far', True)\nraise RuntimeError('planted')\n"
FORGETS = "from harness import *\ncheck('so far', True)\n"
FAILS = "from harness import *\ncheck('planted', False)\nfinish()\n"


def jobs() -> list[Job]:
    return [one for name, planted in failures().items() for one in inverted(name, planted)]


def inverted(name: str, planted: list[Job]) -> list[Job]:
    """Inverts the jobs: they pass if there are complaints."""
    for job in planted:
        job.name, job.batched = f"planted/{name}", False
        job.judge = inverted_judge(job.judge)
    return planted


def inverted_judge(judge: Judge) -> Judge:
    return lambda result: [] if judge(result) else ["a planted failure passes: " + said(result)]


def said(result: Result) -> str:
    return (result.stdout + result.stderr).decode(errors="replace")[-1000:]


def failures() -> dict[str, list[Job]]:
    return {
        "host-no-such-test": [host.job("asan", "no_such_test")],
        "gdb-exception": [gdb_job("exception", DIES)],
        "gdb-no-end": [gdb_job("no-end", FORGETS)],
        "gdb-check": [gdb_job("check", FAILS)],
        "scenario-status": expects(args=["exit", "3"]),
        "scenario-stdout": expects(args=["exit", "0"], stdout="nothing like that\n"),
        "scenario-log": expects(args=["exit", "0"], log_match=["no such word"]),
        "scenario-killed": expects(args=["signal", "11"]),
        "scenario-check": scenarios(program="/bin/busybox", args=["echo", "FAIL of a child"], mode="expect"),
        "oracle-stdout": scenarios(program="/bin/busybox", args=["uname", "-a"], mode="oracle"),
        "oracle-status": scenarios(program="/bin/busybox", args=["test", "-e", "/proc/faultline"], mode="oracle"),
        "shell-status": [shell_job(1, r"\Aword\n\Z")],
        "shell-stdout": [shell_job(0, r"\Aanother\n\Z")],
        "tool-status": [Job(name="", command=["tools/faultline", "--help"], judge=tool.judge(status.USAGE, ""))],
        "tool-words": [Job(name="", command=["tools/faultline", "fly"],
                           judge=tool.judge(status.USAGE, "no such words"))],
        "cpu-panic": [machines.refuse("max,-la57", "lm", "planted")],
        "panic-words": [panics.job("planted", "crash", "print 1", "no such words")],
        "bug-does-not-apply": [bugs.apply_job(planted_patch())],
    }


def gdb_job(name: str, text: str) -> Job:
    path = os.path.join(OUTPUT, f"planted-{name}.py")
    write(path, "import sys\nsys.path.insert(0, 'tests/gdb')\n" + text)
    return debugger.script_job(path, ["--cpus", "1"], ["hello"], f"planted-{name}")


def planted_patch() -> str:
    path = os.path.join(OUTPUT, "planted.patch")
    write(path, "--- a/README.md\n+++ b/README.md\n@@ -1,1 +1,1 @@\n-planted\n+bug\n")
    return path


def write(path: str, text: str) -> None:
    os.makedirs(OUTPUT, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def expects(**keys: object) -> list[Job]:
    return scenarios(program="end", mode="expect", **keys)


def scenarios(**keys: object) -> list[Job]:
    return scenario.jobs(scenario.complete({"name": "planted", "proves": "nothing", **keys}, "planted", "test"))


def shell_job(wanted: int, stdout: str) -> Job:
    return Job(name="", command=["tools/faultline", "shell"], stdin=b"echo word\n", has_log=True,
               judge=shell.judge(wanted, stdout, r"\A\Z"))
