# SPDX-License-Identifier: MIT
"""
The named parts of `make soak-all`: sweeps too long for every change, at most 20 minutes each on two cores. CI runs one
of them after the soak: one that the change touches, else the next in turn.
"""

import collections.abc
import dataclasses
import fnmatch
import re
import shutil
import subprocess

from faultline_host.status import UsageError

from . import ROOT, bugs, host, matrix, scenario
from .job import Job


@dataclasses.dataclass
class Part:
    name: str
    proves: str
    jobs: collections.abc.Callable[[], list[Job]]
    touched_by: collections.abc.Callable[[], list[str]]  # patterns of the paths that it tests
    why_not: collections.abc.Callable[[], str] = lambda: ""  # why it cannot run on this machine


def bug_part(name: str, families: str, proves: str) -> Part:
    """
    Returns a part with the planted bugs whose names begin with one of these letters: families of the race catalogue.
    """
    def paths() -> list[str]:
        return [path for path in bugs.patches() if bugs.name_of(path)[0] in families]

    return Part(name, proves, lambda: [bugs.fail_job(path) for path in paths()],
                lambda: ["tests/bugs/*", *(file for path in paths() for file in bugs.patched_files(path))])


def distribution_part(distribution: matrix.Distribution) -> Part:
    what = "all tests" if distribution.whole else "the tests that depend on tools and libraries"
    return Part(f"matrix-{distribution.name}",
                f"in a fresh {distribution.name} both commands, a terminal and {what} work",
                lambda: matrix.jobs(distribution), lambda: ["tools/*", "tests/runner/*", "Makefile"],
                lambda: matrix.why_not(distribution))


def fuzzer_jobs() -> list[Job]:
    return [job for one in scenario.load("part") for job in scenario.jobs(one)]


SWAP, SPECULATION, VMA_LOCK, ENTRIES = "worl", "s", "vf", "kmtu"
REST = "".join(sorted(set("abcdefghijklmnopqrstuvwxyz") - set(SWAP + SPECULATION + VMA_LOCK + ENTRIES)))

PARTS = (
    bug_part("bugs-speculation", SPECULATION, "each planted bug of speculation is caught"),
    bug_part("bugs-vma-lock", VMA_LOCK, "each planted bug of the per-VMA lock and of fault-around is caught"),
    bug_part("bugs-entries", ENTRIES, "each planted bug of entries, translations and mappings is caught"),
    bug_part("bugs-swap", SWAP, "each planted bug of swap, reclaim and out of memory is caught"),
    bug_part("bugs-rest", REST, "each other planted bug is caught"),
    *map(distribution_part, matrix.ALL),
    Part("dist", "two clean clones pack the same bytes", lambda: [dist_job()],
         lambda: ["Makefile", "tools/make-dist", "boot/*"]),
    Part("clang", "Clang builds the kernels, the programs and the host tests without a warning, and they pass",
         lambda: [clang_job()], lambda: ["Makefile", "kernel/lib/base.h"],
         lambda: "" if shutil.which("clang") else "clang is not installed (Debian's package clang)"),
    Part("host-seeds", "the storms and models of the host build hold with twelve more seeds", host.seed_jobs,
         lambda: ["mm/*", "tests/host/*"]),
    Part("fuzzers", "the kernel's fuzzers hold with more seeds", fuzzer_jobs,
         lambda: ["mm/*", "kernel/*", "user/*fuzz*"]),
)


def dist_job() -> Job:
    """Builds two clones, so that neither the place nor the time matters; the second waits for the next second."""
    script = ('set -e; one=$(mktemp -d); two=$(mktemp -d); trap \'rm -rf "$one" "$two"\' EXIT; '
              'for place in "$one" "$two"; do '
              'git clone -q . "$place/clone"; make -C "$place/clone" dist; sleep 1; done; '
              'cmp "$one"/clone/build/faultline-*.tar.xz "$two"/clone/build/faultline-*.tar.xz')
    return Job(name="dist/same-bytes", command=["sh", "-c", script], judge=bugs.judge_status, limit=900, weight=50)


def clang_job() -> Job:
    """Builds a clone of its own, so that objects of two compilers do not mix; its tests cover each folder."""
    script = ('set -e; place=$(mktemp -d); trap \'rm -rf "$place"\' EXIT; git clone -q . "$place/clone"; '
              'CI=true make -C "$place/clone" test CC=clang '
              'TESTS="host/asan/* boot-* races race-killed swap-all threads shell-*"')
    return Job(name="clang/tests", command=["sh", "-c", script], judge=bugs.judge_status, limit=1100, weight=50)


def jobs(choice: str | None) -> list[Job]:
    """Returns the jobs of one part, of the `next` one, or of all if None."""
    if choice is None:
        return [job for part in PARTS for job in part.jobs()]
    part = next_part() if choice == "next" else by_name(choice)
    print(f"part {part.name}: {part.proves}")
    print(f"again: make soak-all PART={part.name}", flush=True)
    return part.jobs()


def by_name(name: str) -> Part:
    for part in PARTS:
        if part.name == name:
            return part
    raise UsageError(f"soak-all has no part “{name}”; there are: next, {', '.join(part.name for part in PARTS)}")


def next_part() -> Part:
    """Picks a part by the number of commits, among those that the change touches; among all if it touches none."""
    changed = changed_files()
    touched = [part for part in PARTS if any(matches(changed, pattern) for pattern in part.touched_by())]
    candidates = ([part for part in touched or PARTS if not part.why_not()]
                  or [part for part in PARTS if not part.why_not()])
    return candidates[number_of_commits() % len(candidates)]


def matches(paths: list[str], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for path in paths)


def number_of_commits() -> int:
    """Returns the number of commits; 0 outside a git checkout, which selects the first part."""
    count = git("rev-list", "--count", "HEAD")
    return int(count) if re.fullmatch(r"\d+", count) else 0


def changed_files() -> list[str]:
    """Returns the files of commits that are not pushed; if all are (as in CI), those of the last commit."""
    return (git("diff", "--name-only", "@{upstream}...HEAD")
            or git("diff", "--name-only", "HEAD~1", "HEAD")).splitlines()


def git(*words: str) -> str:
    """Returns the output, or an empty string if there is no git, no checkout, or no such commit."""
    try:
        result = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
