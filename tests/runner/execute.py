# SPDX-License-Identifier: MIT
"""
Runs jobs in parallel. A job counts as hung when nothing it writes (output or kernel log) has grown for its limit, so
that a slow machine fails no test and a silent hang is found early; the cap ends a job that writes for ever.
"""

import collections
import collections.abc
import concurrent.futures
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import typing

from . import OUTPUT, ROOT, batch
from .job import Job, Result

LOOK = 0.2  # seconds between two checks of a job's output
SHOWN_LINES = 40
TOOL = "tools/faultline"

class Process(subprocess.Popen[bytes]):
    """A process, and what it has used, once it has ended."""

    resources: resource.struct_rusage


# the running interpreter, without site packages: looking for either can take half a run
PYTHON = (sys.executable, "-S")


def run_all(jobs: list[Job], workers: int) -> tuple[int, int]:
    """Runs every job, prints a line for each and details of failures, then a summary. Returns (passed, failed)."""
    os.makedirs(OUTPUT, exist_ok=True)
    reporter = Reporter(len(jobs))
    jobs = sorted(batch.batched(jobs), key=lambda job: -job.weight)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run_one, job, reporter) for job in jobs]
        try:
            for future in futures:
                future.result()
        except KeyboardInterrupt:
            reporter.stopped = True
            pool.shutdown(cancel_futures=True)
            raise
    reporter.summary()
    return reporter.passed, len(reporter.failures)


def run_one(job: Job, reporter: "Reporter") -> None:
    if reporter.stopped:
        return
    result = execute(job, lambda: reporter.stopped)
    for part, own in job.split(result) if job.split else [(job, result)]:
        reporter.report(part, own, complaints_about(part, own))


def complaints_about(job: Job, result: Result) -> list[str]:
    return [result.hung] if result.hung else job.judge(result)


def execute(job: Job, stopped: collections.abc.Callable[[], bool] = lambda: False) -> Result:
    paths = {kind: job.file(f".{kind}") for kind in ("stdin", "stdout", "stderr", "log")}
    for path in paths.values():
        if os.path.exists(path):
            os.unlink(path)
    command = job.command
    if job.has_log:
        command = [*command[:2], "--log", paths["log"], *command[2:]]
    if command[0] == TOOL:
        command = [*PYTHON, *command]
    started = time.monotonic()
    with open(paths["stdout"], "wb") as stdout, open(paths["stderr"], "wb") as stderr:
        process = Process(command, cwd=ROOT, stdin=open_input(job, paths["stdin"]), stdout=stdout,
                                   stderr=stderr, start_new_session=True)
        feed(job, process)
        hung = wait(process, [paths["stdout"], paths["stderr"], paths["log"]], job, stopped)
        used = process.resources
    return Result(process.returncode, contents(paths["stdout"]), contents(paths["stderr"]), contents(paths["log"]),
                  time.monotonic() - started, used.ru_utime + used.ru_stime, hung)


def open_input(job: Job, path: str) -> int | typing.IO[bytes]:
    if job.live_stdin:
        with open(path, "wb") as file:
            file.write(job.stdin)
        return subprocess.PIPE
    if not job.stdin:
        return subprocess.DEVNULL
    with open(path, "wb") as file:
        file.write(job.stdin)
    return open(path, "rb")


def feed(job: Job, process: Process) -> None:
    def write() -> None:
        try:
            assert process.stdin
            process.stdin.write(job.stdin)
            process.stdin.close()
        except BrokenPipeError:
            pass

    if job.live_stdin:
        threading.Thread(target=write, daemon=True).start()


def wait(process: Process, watched: list[str], job: Job, stopped: collections.abc.Callable[[], bool]) -> str:
    """Waits for the process. Returns why it had to be ended, or an empty string."""
    started = grown = time.monotonic()
    size = 0
    while not ends_within(LOOK, process):
        now = time.monotonic()
        new_size = sum(os.path.getsize(path) for path in watched if os.path.exists(path))
        if new_size != size:
            size, grown = new_size, now
        hung = ""
        if now - grown > job.limit:
            hung = f"hung: no output and no log for {job.limit:g} s"
        elif now - started > job.cap:
            hung = f"did not end within {job.cap:g} s"
        elif stopped():
            hung = "interrupted"
        if hung:
            end(process)
            return hung
    return ""


def ends_within(seconds: float | None, process: Process) -> bool:
    """Waits by a pidfd, not by polling, so that a job of a tenth of a second takes no longer."""
    descriptor = os.pidfd_open(process.pid)
    try:
        if not select.select([descriptor], [], [], seconds)[0]:
            return False
    finally:
        os.close(descriptor)
    _, status, process.resources = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return True


def end(process: Process) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    if not ends_within(5, process):
        os.killpg(process.pid, signal.SIGKILL)
        ends_within(None, process)


def contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


class Reporter:
    """Prints and counts results as they arrive."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.passed = 0
        self.failures: list[tuple[Job, list[str]]] = []
        self.seconds: dict[str, float] = collections.defaultdict(float)  # by kind of test
        self.cpu: dict[str, float] = collections.defaultdict(float)
        self.remarks: collections.Counter[str] = collections.Counter()  # remarks on tests that passed
        self.stopped = False
        self.lock = threading.Lock()

    def report(self, job: Job, result: Result, complaints: list[str]) -> None:
        with self.lock:
            if complaints:
                self.failures.append((job, complaints))
            else:
                self.passed += 1
            self.seconds[job.kind()] += result.seconds
            self.cpu[job.kind()] += result.cpu
            count = f"[{self.passed + len(self.failures):{len(str(self.total))}}/{self.total}]"
            print(f"{count} {'FAIL' if complaints else 'ok  '} {job.name} ({result.seconds:.1f} s)")
            if complaints:
                self._details(job, result, complaints)
            elif remark := job.says(result):
                print(indent(remark))
                self.remarks[remark] += 1
            sys.stdout.flush()

    def summary(self) -> None:
        """Prints where the time went, and repeats what has scrolled away: remarks and failures."""
        by_seconds = sorted(self.seconds.items(), key=lambda item: -item[1])
        print("seconds by kind (of CPU): " +
              ", ".join(f"{kind} {seconds:.0f} ({self.cpu[kind]:.0f})" for kind, seconds in by_seconds))
        for remark, tests in self.remarks.items():
            print(f"{remark} ({tests} test{'s' if tests > 1 else ''})")
        for job, complaints in self.failures:
            print(f"FAIL {job.name}: {complaints[0].splitlines()[0]}")

    def _details(self, job: Job, result: Result, complaints: list[str]) -> None:
        for complaint in complaints:
            print(indent(complaint))
        for name, data in (("stderr", result.stderr), ("kernel log, its end", result.log)):
            if data:
                print(indent(f"--- {name}:\n" + tail(data)))
        print(indent(f"replay: {job.replay_command()}"))


def tail(data: bytes) -> str:
    return "\n".join(data.decode(errors="replace").splitlines()[-SHOWN_LINES:])


def indent(text: str) -> str:
    return "\n".join("      " + line for line in text.splitlines())
