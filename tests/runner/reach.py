# SPDX-License-Identifier: MIT
"""
Finds which host tests reach a line, and how long each takes. build/host/reach/tests is instrumented so that each basic
block reports when it runs (tests/mutants/reached.c); every test runs once, and the line table maps blocks to lines.

The result is cached in build/mutants/ until the program changes.
"""

import bisect
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import typing

from faultline_host.status import UsageError

from . import ROOT, host

PROGRAM = os.path.join(ROOT, "build", "host", "reach", "tests")
DIRECTORY = os.path.join(ROOT, "build", "mutants")
CALL_BYTES = 5


class Reach:
    def __init__(self, found: dict[str, typing.Any]) -> None:
        self.seconds = found["seconds"]  # of processor time, by test
        self.names = list(self.seconds)
        self.lines = {path: {int(line): tests for line, tests in lines.items()}
                      for path, lines in found["lines"].items()}

    def tests(self, path: str, line: int) -> list[str]:
        """Returns the tests that reach this line, the quickest first. A line without code belongs to the one above."""
        lines = self.lines.get(path, {})
        known = sorted(lines)
        at = bisect.bisect_right(known, line)
        tests = [self.names[index] for index in lines[known[at - 1]]] if at else []
        return sorted(tests, key=lambda name: self.seconds[name])


def load(workers: int) -> Reach:
    """Returns the cached result if it is of this program; otherwise runs all tests, which takes some 20 s."""
    with open(PROGRAM, "rb") as file:
        version = hashlib.sha256(file.read()).hexdigest()
    path = os.path.join(DIRECTORY, "reach.json")
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
    except (FileNotFoundError, ValueError):
        kept = {}
    if kept.get("version") != version:
        kept = {"version": version, **find(workers)}
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.replace(f"{path}.new", path)
    return Reach(kept)


def find(workers: int) -> dict[str, typing.Any]:
    names = host.names("reach", ROOT)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        runs = list(pool.map(run, names))
    broken = [name for name, (_, _, status) in zip(names, runs) if status]
    if broken:
        raise UsageError(f"without any mutant, these tests fail: {', '.join(broken)}")
    blocks = block_addresses()
    lines = lines_of_blocks(blocks)
    found: dict[str, dict[int, set[int]]] = {}
    for index, (_, reached, _) in enumerate(runs):
        for address in reached:
            for path, line in lines.get(address - CALL_BYTES, ()):
                found.setdefault(path, {}).setdefault(line, set()).add(index)
    # Records lines that no test reaches, too: otherwise the tests of the line above would be found for them.
    for places in lines.values():
        for path, line in places:
            found.setdefault(path, {}).setdefault(line, set())
    return {"seconds": {name: seconds for name, (seconds, _, _) in zip(names, runs)},
            "lines": {path: {line: sorted(tests) for line, tests in by_line.items()}
                      for path, by_line in found.items()}}


def run(name: str) -> tuple[float, list[int], int]:
    """Returns seconds of processor time, the addresses of the blocks that ran, and the exit status."""
    path = os.path.join(DIRECTORY, f"{name}.map")
    process = subprocess.Popen([*host.fixed_addresses(), PROGRAM, name], env={**os.environ, "REACHED": path},
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    with open(path, "rb") as file:
        reached = [match.start() for match in re.finditer(b"\x01", file.read())]
    os.unlink(path)
    return used.ru_utime + used.ru_stime, reached, process.returncode


def block_addresses() -> list[int]:
    """Returns the start of each block, in order: its call, which returns CALL_BYTES further on."""
    calls = re.compile(r"^ +([0-9a-f]+):\tcall +[0-9a-f]+ <__sanitizer_cov_trace_pc>$", re.MULTILINE)
    return [int(match[1], 16) for match in calls.finditer(output(["objdump", "-d", "--no-show-raw-insn", PROGRAM]))]


def lines_of_blocks(blocks: list[int]) -> dict[int, set[tuple[str, int]]]:
    """Returns {address of a block: its source lines}. In unoptimised code, a block's code follows its call."""
    row = re.compile(r"^\S+ +(\d+) +0x([0-9a-f]+)", re.ASCII)
    found: dict[int, set[tuple[str, int]]] = {}
    path = ""
    for text in output(["readelf", "-wL", "-W", PROGRAM]).splitlines():
        header = re.match(r"(?:CU: )?(?:\./)?(\S+\.[ch]):", text)
        match = row.match(text)
        if header:
            path = header[1]
        elif match and path.startswith(("mm/", "kernel/")):
            at = bisect.bisect_right(blocks, int(match[2], 16))
            if at:
                found.setdefault(blocks[at - 1], set()).add((path, int(match[1])))
    return found


def output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
