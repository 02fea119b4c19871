# SPDX-License-Identifier: MIT
"""
Reads the fault events of one run. The kernel writes them (mm/debug/events.h) at its end, to a port of its own
(kernel/debug/fault_dump.c); docs/tracing.md has the format. `trace` and `report` are made from it.
"""

import argparse
import collections.abc
import contextlib
import dataclasses
import os
import re
import struct
import subprocess
import tempfile

from . import run as runner
from .status import UsageError

Sources = dict[tuple[int, str], str]  # (tid, ip): "function at file:line"

TRACE_PORT = 0xEC
EVENTS = 65536  # for each CPU: the maximum size of the ring
ET_DYN = 3
NS_PER_SECOND = 10 ** 9
COMM_MAX = 15  # a process is named after its program, cut to this length
LINE = re.compile(r"\[(\d+)\] (\d+)\.(\d{9}) \+(\d+) tid=(\d+) (\w+)((?: \w+=\S*)*)$")


@dataclasses.dataclass
class Event:
    cpu: int
    start: int  # ns since boot
    end: int
    tid: int
    name: str
    keys: dict[str, str]


@dataclasses.dataclass
class Recording:
    """The recording of one run: events ordered by their ends, and the memory map of the first process."""
    status: int
    cpus: int
    lost: int = 0
    events: list[Event] = dataclasses.field(default_factory=list)
    threads: dict[int, tuple[int, str]] = dataclasses.field(default_factory=dict)  # by tid: (pid, name), once ended
    vmas: list[tuple[int, int, str, str]] = dataclasses.field(default_factory=list)  # (start, end, permissions, name)
    pages: list[tuple[int, int, str]] = dataclasses.field(default_factory=list)  # (address, number of pages, state)
    clock: tuple[int, int] = (NS_PER_SECOND, 0)  # TSC ticks per second, and the TSC value at 0 ns

    def in_ticks(self) -> list[Event]:
        """Returns the events with their times in TSC ticks: under --deterministic, these are instructions."""
        ns_per_tick32 = (NS_PER_SECOND << 32) // self.clock[0]  # as in kernel/x86/clock.c

        def ticks(ns: int) -> int:
            return self.clock[1] + -(-(ns << 32) // ns_per_tick32)

        return [dataclasses.replace(event, start=ticks(event.start), end=ticks(event.end)) for event in self.events]


def record(chosen: argparse.Namespace) -> Recording:
    """Boots `chosen` and reads what the kernel has written at the end."""
    chosen.append = f"{chosen.append} fault_dump fault_events={EVENTS}".strip()
    with tempfile.TemporaryDirectory(prefix="faultline-trace-") as scratch:
        path = os.path.join(scratch, "trace")
        result = runner.boot(chosen, scratch, ["-chardev", f"file,id=trace,path={path}", "-device",
                                               f"isa-debugcon,iobase={TRACE_PORT:#x},chardev=trace"])
        if not os.path.exists(path):
            raise UsageError("the machine has left no trace")
        with open(path, encoding="utf-8", errors="replace") as file:
            return parse(file, result, chosen.cpus)


def parse(lines: collections.abc.Iterable[str], result: int, cpus: int) -> Recording:
    recording, recorded = Recording(result, cpus), 0
    for line in lines:
        if not line.endswith("\n"):
            break  # the machine was stopped while it wrote
        with contextlib.suppress(ValueError, IndexError):  # a panic has cut a line short
            words = line.split()
            if line.startswith("["):
                recording.events.append(parse_event(line))
            elif line.startswith("clock "):
                recording.clock = int(words[1]), int(words[2])
            elif line.startswith("recorded "):
                recorded += int(words[2])
            elif line.startswith("thread "):
                recording.threads[int(words[1])] = int(words[2]), " ".join(words[3:])
            elif line.startswith("vma "):
                recording.vmas.append((int(words[1], 16), int(words[2], 16), words[3], " ".join(words[4:])))
            elif line.startswith("pages "):
                recording.pages.append((int(words[1], 16), int(words[2]), words[3]))
    recording.events.sort(key=lambda event: (event.end, -event.start))
    recording.lost = max(recorded - len(recording.events), 0)
    return recording


def parse_event(line: str) -> Event:
    match = LINE.match(line)
    if not match:
        raise ValueError(line)
    cpu, seconds, ns, duration, tid, name, keys = match.groups()
    start = int(seconds) * NS_PER_SECOND + int(ns)
    return Event(int(cpu), start, start + int(duration), int(tid), name,
                 dict(pair.split("=", 1) for pair in keys.split()))


def own_options_first(argv: list[str], flags: collections.abc.Sequence[str] = ()) -> list[str]:
    """
    Moves the options at the end, `-o FILE` and `flags`, to the front: `PROGRAM ARGS -o FILE` is `-o FILE PROGRAM ARGS`.
    """
    head: list[str] = []
    tail = list(argv)
    while True:
        behind = 2 if len(tail) > 2 and tail[-2] == "-o" else 1 if len(tail) > 1 and tail[-1] in flags else 0
        if not behind:
            return head + tail
        head, tail = head + tail[-behind:], tail[:-behind]


def lost_words(recording: Recording) -> str:
    if not recording.events:
        return " (the kernel writes them at its end, and it has come to none)"
    return f", {recording.lost} older ones were overwritten" if recording.lost else ""


def title(event: Event) -> str:
    keys = event.keys
    if event.name == "attempt":
        return f"{keys['strategy']}: {keys['access']} {keys['kind']} → {keys.get('reason') or keys.get('answer')}"
    return {"lock_wait": f"waits for {keys.get('rank')} for {keys.get('for')}", "page_wait": "waits for a page",
            "mmap_write": "mmap_lock, writing", "vma_write": "locks a VMA for writing", "shootdown": "TLB shootdown",
            "flush": "TLB flush for others"}.get(event.name, event.name)


def sources(program: str, recording: Recording) -> Sources:
    """Returns the sources of the program's instructions that have debug information."""
    mine = {(event.tid, event.keys["ip"]) for event in recording.events if "ip" in event.keys and
            runs(event.tid, program, recording.threads)}
    ips = sorted({ip for _, ip in mine})
    base = load_address(program, recording)
    wanted = [f"{int(ip, 16) - base:#x}" for ip in ips]
    try:
        said = subprocess.run(["addr2line", "-f", "-s", "-e", program], input="\n".join(wanted), capture_output=True,
                              text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return {}
    pairs = zip(ips, zip(said[::2], said[1::2]))
    source_of = {ip: named(function, re.sub(r" .discriminator.*|:\?$", "", place)) for ip, (function, place) in pairs
                 if not function.startswith("?")}
    return {(tid, ip): source_of[ip] for tid, ip in mine if ip in source_of}


def runs(tid: int, program: str, threads: dict[int, tuple[int, str]]) -> bool:
    """
    Returns whether the thread's process was running this program at the end, judged by its name, which exec changes.
    """
    name = os.path.basename(program)[:COMM_MAX]
    pid, _ = threads.get(tid, (tid, name))
    return threads.get(pid, (pid, name))[1] == name


def named(function: str, place: str) -> str:
    """Returns the function alone for a library without line numbers."""
    return function if place.startswith("?") else f"{function} at {place}"


def load_address(program: str, recording: Recording) -> int:
    """Returns the offset to subtract from an address: 0 for a program at fixed addresses."""
    with open(program, "rb") as file:
        header = file.read(18)
    if struct.unpack_from("<H", header, 16)[0] != ET_DYN:
        return 0
    name = os.path.basename(program)
    return min((start for start, _, _, path in recording.vmas if os.path.basename(path) == name), default=0)
