# SPDX-License-Identifier: MIT
"""
Tests with other CPU models than the usual one, and with the usual one without each feature that the kernel names; and
images in a QEMU that was started without the tool.
"""

import os
import re

from faultline_host import status

from . import ROOT
from .job import Job, Judge, Result

CPU = "max,-la57"  # the tool's default
MODELS = ("kvm64", "core2duo", "Opteron_G1", "Nehalem")
VECTORS = ("qemu64", "SandyBridge", f"{CPU},-avx")  # without XSAVE, without AVX2, without AVX
TOO_OLD = ("pentium3", "486")
HELLO = ["build/user/hello"]
FPU_STATE = ["build/user/fpu_state"]
BOOTS = ("console",)  # of tests/scripts/plain_boot.py
SOAK_BOOTS = ("headline", "missing-feature")


def jobs(kernel: str | None = None) -> list[Job]:
    """Returns the jobs; `kernel` replaces the kernel image of those that the tool boots."""
    runs = [run(model, HELLO) for model in MODELS] + [run(model, FPU_STATE) for model in VECTORS]
    runs += [refuse(model, "lm", features()["lm"][1]) for model in TOO_OLD]
    for name, (need, what) in features().items():
        without = f"{CPU},-{name}"
        runs.append(run(without, HELLO) if need == "USED" else refuse(without, name, what))
    returns = judge(0, "", "^iretq: done\nlretq: done\nlretq \\$24: done\n")
    runs.append(job(f"{CPU},-smap", ["build/user/supervisor_access"], returns, "supervisor-access"))
    if kernel:
        for one in runs:
            one.command[2:2] = ["--kernel", kernel]
    return runs + [plain(name) for name in BOOTS]


def soak_jobs() -> list[Job]:
    return [plain(name) for name in SOAK_BOOTS]


def plain(name: str) -> Job:
    return Job(name=f"plain/{name}", command=["python3", "tests/scripts/plain_boot.py", name], judge=judge(0), weight=4)


def features() -> dict[str, tuple[str, str]]:
    """Returns {name: (need, description)} from the kernel's own list."""
    with open(os.path.join(ROOT, "kernel", "x86", "features.h"), encoding="utf-8") as file:
        rows = re.findall(r'X\((\w+), \w+, E.X, \d+, (EARLY|NEEDED|USED), "(.*)"\)', file.read())
    return {name: (need, what) for name, need, what in rows}


def run(model: str, program: list[str]) -> Job:
    return job(model, program, judge(0, "", r"\n[1-9]\d* checks, 0 failed\n$"))


def refuse(model: str, name: str, what: str) -> Job:
    sentence = ("(?s)^faultline: the kernel panicked:\n"
                f"FAULTLINE-PANIC Faultline needs a CPU with {name}: {re.escape(what)}\n"
                "(?!.*to run it again)")
    return job(model, HELLO, judge(status.PANIC, sentence))


def job(model: str, program: list[str], judged: Judge, name: str | None = None) -> Job:
    return Job(name=f"cpu/{name or model}", has_log=True, judge=judged, weight=1,
               command=["tools/faultline", "run", "--timeout", "60", "--cpu", model, *program])


def judge(expected: int, stderr: str = "", stdout: str = "") -> Judge:
    def complaints(result: Result) -> list[str]:
        wrong = [f"exit status {result.status}, expected {expected}"] if result.status != expected else []
        for regex, said in ((stderr, result.stderr), (stdout, result.stdout)):
            if not re.search(regex, said.decode(errors="replace")):
                wrong.append(f"“{regex}” is not in {said.decode(errors='replace')[-2000:]}")
        return wrong

    return complaints
