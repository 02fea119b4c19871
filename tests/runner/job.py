# SPDX-License-Identifier: MIT
"""A job of the test runner, and its result."""

import collections.abc
import dataclasses
import os
import re
import shlex
import sys

from . import OUTPUT


def named(tests: collections.abc.Collection[str], argv: list[str]) -> list[str]:
    """
    Returns the arguments of `tests/KIND NAME`, the first of which must be one of these tests; otherwise exits with a
    message.
    """
    if len(argv) < 2 or argv[1] not in tests:
        kind = os.path.basename(argv[0])
        wrong = f"no test is called {argv[1]}" if len(argv) > 1 else "name a test"
        sys.exit(f"tests/{kind}: {wrong}; there are {', '.join(tests)}")
    return argv[1:]


@dataclasses.dataclass
class Result:
    status: int
    stdout: bytes
    stderr: bytes
    log: bytes
    seconds: float
    cpu: float = 0.0  # seconds of all its processes that were waited for: independent of other load
    hung: str = ""  # why the runner ended it; empty if it ended by itself


Judge = collections.abc.Callable[[Result], list[str]]  # returns complaints, none when passed


def unjudged(_result: Result) -> list[str]:
    """The judge of a job that does not have its own yet."""
    return ["nothing judges this job"]


@dataclasses.dataclass
class Job:
    name: str
    command: list[str]
    judge: Judge
    limit: float = 120  # seconds without a byte of output or log, enough for any load
    cap: float = 1200  # seconds in all
    stdin: bytes = b""
    live_stdin: bool = False  # through a pipe instead of a file
    has_log: bool = False  # append --log FILE to the command: a run of tools/faultline
    replay: str = ""
    says: collections.abc.Callable[[Result], str] = lambda result: ""  # a remark that is shown although it passed
    weight: float = 1  # how long it may take; heavy jobs start first
    batched: bool = False  # other such jobs' last words may be appended to the command
    # of a batch: returns each of its jobs with the job's own result
    split: "collections.abc.Callable[[Result], list[tuple[Job, Result]]] | None" = None

    def file(self, suffix: str) -> str:
        """Returns the path of a file of this job under build/tests."""
        return os.path.join(OUTPUT, re.sub(r"[^A-Za-z0-9.=-]+", "_", self.name) + suffix)

    def kind(self) -> str:
        """Returns the word before the first slash; scenarios have none."""
        kind, slash, _ = self.name.split()[0].partition("/")
        return kind if slash else "scenario"

    def replay_command(self) -> str:
        if self.replay:
            return self.replay
        command = " ".join(shlex.quote(word) for word in self.command)
        if self.live_stdin:
            return f"cat {self.file('.stdin')} | {command}"
        return f"{command} < {self.file('.stdin') if self.stdin else '/dev/null'}"
