# SPDX-License-Identifier: MIT
"""
Planted bugs, tests/bugs/*.patch: each patch removes one needed line, and the test that its header names must then fail.
They prove that the tests can fail. `make test` only checks that every patch still applies.
"""

import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys

from . import OUTPUT, ROOT, execute, host, machines, scenario, shell, terminal
from .job import Job, Result

TREE = ("Makefile", "linker.ld", "boot", "kernel", "mm", "drivers", "user", "tests/host", "tools")
BUILT = ("build/debug", "build/host", "build/user", "build/faultline.elf", "build/flags-kernel")
BUILD_TIME = 600
HANGS = 40  # seconds: several bugs end in a hang, which counts as noticed
HANGS_LOUDLY = 120  # the same, while the kernel goes on reporting the hang


class PatchError(Exception):
    """A patch without the header that tests/README.md describes, or that does not apply or build."""


def patches() -> list[str]:
    return sorted(glob.glob(os.path.join(ROOT, "tests", "bugs", "*.patch")))


def name_of(path: str) -> str:
    return os.path.basename(path).removesuffix(".patch")


def chosen(wanted: list[str]) -> list[str]:
    """Returns the names that these patterns match; each pattern must match one."""
    known = [name_of(path) for path in patches()]
    for pattern in wanted:
        if not fnmatch.filter(known, pattern):
            raise PatchError(f"there is no tests/bugs/{pattern}.patch; there are: {', '.join(known)}")
    return [name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)]


def apply_jobs() -> list[Job]:
    """Returns jobs for `make test`: each patch must apply to the current tree."""
    return [apply_job(path) for path in patches()]


def apply_job(path: str) -> Job:
    return Job(name=f"bug/{name_of(path)} applies", judge=judge_status, weight=0,
               command=["patch", "-p1", "--dry-run", "--force", "--fuzz=0", "-i", path])


def fail_job(path: str) -> Job:
    """Returns the job for `make soak-all`: with the bug planted, its test must fail."""
    return Job(name=f"bug/{name_of(path)} is caught", judge=judge_status, limit=BUILD_TIME, cap=2 * BUILD_TIME,
               weight=30, command=[sys.executable, "tests/run", "bug", name_of(path)])


def patched_files(path: str) -> list[str]:
    """Returns the files that the patch changes, relative to the repository."""
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^\+\+\+ b/(\S+)", file.read(), re.MULTILINE)


def judge_status(result: Result) -> list[str]:
    return [] if result.status == 0 else [result.stdout.decode(errors="replace")]


def prove(name: str) -> int:
    """
    `tests/run bug NAME`: plants the bug in a scratch copy, builds it, and checks that its test fails. Returns an exit
    status.
    """
    path = os.path.join(ROOT, "tests", "bugs", f"{name}.patch")
    test = header(path)["Test"]
    copy = plant(path, name)
    for job in jobs_of(test, copy):
        job.limit, job.cap = min(job.limit, HANGS), min(job.cap, HANGS_LOUDLY)
        result = execute.execute(job)
        complaints = execute.complaints_about(job, result)
        if complaints:
            print(f"{name}: caught by {job.name}: {complaints[0].splitlines()[0]}")
            shutil.rmtree(copy)
            return 0
        print(f"{name}: {job.name} did not notice", flush=True)
    print(f"{name}: NOT caught by {test}; the patched tree is in {copy}")
    return 1


def header(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8") as file:
        fields = dict(re.findall(r"^(Race|Test|Why): (.+)$", file.read().partition("\n---")[0], re.MULTILINE))
    for key in ("Race", "Test", "Why"):
        if key not in fields:
            raise PatchError(f"{path}: no line “{key}: …” at its top")
    return fields


def plant(path: str, name: str) -> str:
    """Builds a copy of the tree with the bug. Objects keep their times, so only what differs is compiled."""
    copy = os.path.join(OUTPUT, "bugs", name)
    shutil.rmtree(copy, ignore_errors=True)
    for entry in TREE + BUILT:
        copy_entry(os.path.join(ROOT, entry), os.path.join(copy, entry))
    forget_warnings_as_errors(os.path.join(copy, "build", "flags-kernel"))
    checked(["patch", "-p1", "--force", "--fuzz=0", "-i", path], copy)
    test = header(path)["Test"]
    target = f"build/{'/'.join(test.split('/')[:2])}/tests" if test.startswith("host/") else "build/faultline.elf"
    checked(["make", "--no-print-directory", target], copy)
    return copy


def forget_warnings_as_errors(path: str) -> None:
    """Lets the copy use objects that CI has built with -Werror: otherwise each bug would rebuild the whole kernel."""
    if os.path.exists(path):
        built = os.stat(path)
        with open(path, encoding="utf-8") as file:
            flags = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(flags.replace(" -Werror", ""))
        os.utime(path, ns=(built.st_atime_ns, built.st_mtime_ns))


def copy_entry(source: str, destination: str) -> None:
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, destination, symlinks=True)
    elif os.path.exists(source):
        shutil.copy2(source, destination)


def checked(command: list[str], directory: str) -> None:
    """Runs a command without CI's settings: code that a bug leaves unused is no error."""
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CI")
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    result = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise PatchError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")


def jobs_of(test: str, copy: str) -> list[Job]:
    if test.startswith("host/"):
        _, sanitizer, name = test.split("/", 2)
        if name not in host.names(sanitizer, copy):
            raise PatchError(f"there is no test “{test}”")
        jobs = [host.job(sanitizer, name, copy)]
    elif test.startswith(("shell/", "terminal/", "cpu/")):
        kernel = os.path.join(copy, "build", "faultline.elf")
        jobs = [job for job in shell.jobs(kernel) + terminal.jobs(kernel) + machines.jobs(kernel) if job.name == test]
        if not jobs:
            raise PatchError(f"there is no test “{test}”")
    else:
        chosen = [one for one in scenario.load("soak") if one["name"] == test]
        if not chosen:
            raise PatchError(f"there is no scenario “{test}”")
        jobs = scenario.jobs(chosen[0], os.path.join(copy, "build", "faultline.elf"))
    for job in jobs:
        job.name = f"{os.path.basename(copy)}/{job.name}"
    return jobs
