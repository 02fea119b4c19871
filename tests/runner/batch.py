# SPDX-License-Identifier: MIT
"""
Runs the tests of the host build in batches. Their program runs as many tests as it is given, each in a process of its
own, and prints a line for each; starting a sanitizer takes longer than most of the tests.
"""

import collections.abc
import dataclasses
import re

from .job import Job, Result

SIZE = 24  # small enough to keep every worker busy to the end
ENDED = re.compile(rb"^(ok|FAILED) +(\S.*?) \((\d+) ms\)\n(?: +again: .*\n)?", re.MULTILINE)


def batched(jobs: list[Job]) -> list[Job]:
    """Returns the same jobs, with those that differ only in the last word of their command combined into batches."""
    alone = [job for job in jobs if not job.batched]
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        if job.batched:
            groups.setdefault(tuple(job.command[:-1]), []).append(job)
    return alone + [batch(list(command), chunk) for command, group in groups.items() for chunk in chunks(group)]


def chunks(group: list[Job]) -> list[list[Job]]:
    """Splits a group evenly: neighbours are alike and take similar times, so each chunk gets some of all."""
    number = -(-len(group) // SIZE)
    return [group[start::number] for start in range(number)]


def batch(command: list[str], jobs: list[Job]) -> Job:
    first = jobs[0]
    return Job(name=f"{first.name} and {len(jobs) - 1} more", command=command + [job.command[-1] for job in jobs],
               judge=first.judge, limit=first.limit, cap=first.cap, weight=first.weight,
               split=lambda result: split(jobs, result, [job.command[-1] for job in jobs]))


def split(jobs: list[Job], result: Result, names: collections.abc.Sequence[str]) -> list[tuple[Job, Result]]:
    """
    Returns (job, its own result) for each, by its name in the output. A job without a line ended the batch, or comes
    after that job.
    """
    parts = {}
    start = 0
    share = result.cpu / len(jobs)
    for match in ENDED.finditer(result.stdout):
        ok, name, milliseconds = match.groups()
        parts[name.decode()] = dataclasses.replace(
            result, status=0 if ok == b"ok" else 1, stdout=result.stdout[start:match.end()], hung="",
            stderr=b"" if ok == b"ok" else result.stderr, seconds=int(milliseconds) / 1000, cpu=share)
        start = match.end()
    rest = Result(result.status or 1, result.stdout[start:], result.stderr, b"", 0, share, result.hung)
    return [(job, parts.get(name, rest)) for job, name in zip(jobs, names)]
