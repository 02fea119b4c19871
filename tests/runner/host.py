# SPDX-License-Identifier: MIT
"""
The tests of the host build: one program per sanitizer, build/host/{asan,tsan}/tests. `--list` prints the names of its
tests and how many CPUs each has; with names as arguments it runs those, reports failures, and exits 0 only if none
failed.
"""

import functools
import os
import pathlib
import re
import subprocess

from . import ROOT
from .job import Job, Result

SANITIZERS = ("asan", "tsan")
LIMIT = 400  # above the time limits of the programs themselves
SOAK_SEEDS = range(2, 14)


def jobs(root: str = ROOT) -> list[Job]:
    """Returns the jobs. A test with one CPU has one thread, in which ThreadSanitizer can find nothing."""
    return [job(sanitizer, name, root) for sanitizer in SANITIZERS for name, cpus in tests(sanitizer, root).items()
            if sanitizer != "tsan" or cpus > 1]


def quick_jobs() -> list[Job]:
    """Returns the jobs under ASan and UBSan; those under ThreadSanitizer are in the soak."""
    return [job for job in jobs() if job.name.startswith("host/asan/")]


def seed_jobs(root: str = ROOT) -> list[Job]:
    """Returns the tests whose course depends on the seed, with more seeds."""
    return [job(sanitizer, name, root, seed) for sanitizer in SANITIZERS for name in names(sanitizer, root)
            if "storm" in name or "model" in name for seed in SOAK_SEEDS]


def job(sanitizer: str, name: str, root: str = ROOT, seed: int = 1) -> Job:
    program = program_path(sanitizer, root)
    return Job(name=f"host/{sanitizer}/{name}" + (f" seed={seed}" if seed != 1 else ""),
               command=[*fixed_addresses(), program, "--seed", str(seed), name], judge=judge, limit=LIMIT, weight=5,
               batched=True)


def program_path(sanitizer: str, root: str) -> str:
    return os.path.relpath(os.path.join(root, "build", "host", sanitizer, "tests"), ROOT)


def names(sanitizer: str, root: str) -> list[str]:
    return list(tests(sanitizer, root))


def names_in_sources() -> list[str]:
    """Returns the names of the tests from the sources, without the program that lists them."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(pathlib.Path(ROOT, "tests", "host").glob("test_*.c"))]
    return [f"host/{sanitizer}/{name}" for sanitizer in SANITIZERS
            for name in re.findall(r"^TEST(?:_DIES)?\((\w+)", "".join(texts), re.MULTILINE)]


def tests(sanitizer: str, root: str) -> dict[str, int]:
    """Returns {name: number of CPUs}."""
    program = os.path.join(root, "build", "host", sanitizer, "tests")
    if not os.path.exists(program):
        return {}
    listing = subprocess.run([*fixed_addresses(), program, "--list"], capture_output=True, text=True, check=False)
    if listing.returncode:
        return {"--list": 2}  # a job for it fails and shows why
    return {name: int(cpus) for name, cpus in map(str.split, listing.stdout.splitlines())}


@functools.lru_cache(maxsize=None)
def fixed_addresses() -> tuple[str, ...]:
    """
    Returns a prefix that turns address randomisation off, if allowed: GCC 12's ThreadSanitizer fails with that of newer
    Linux.
    """
    command = ["setarch", "x86_64", "-R"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return tuple(command) if allowed else ()


def judge(result: Result) -> list[str]:
    if result.status == 0:
        return []
    return [f"exit status {result.status}", result.stdout.decode(errors="replace")[-4000:]]
