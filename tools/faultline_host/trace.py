# SPDX-License-Identifier: MIT
"""
`faultline trace PROGRAM -o FILE.json`: runs the program and writes its fault events as a file that Perfetto
(ui.perfetto.dev) and Chromium's DevTools open. It has a track for each CPU and each thread, locks held as slices, an
arrow from an attempt that gave up to the next one, and the source line of each faulting instruction.
"""

import collections.abc
import dataclasses
import json
import typing

from . import options, run as runner
from .recording import Event, Recording, Sources, lost_words, own_options_first, record, sources, title
from .status import naming

Json = dict[str, typing.Any]  # an object of JSON

# For Perfetto, the CPUs are the threads of one more process. It wants thread numbers to be unique across processes, so
# the CPUs get numbers that no thread can have (Linux: PID_MAX_LIMIT).
CPUS = 1 << 22
LOCKED_VMAS = 4  # drawn one by one for each writer: fork locks all VMAs
LOCKS = {"mmap": "mmap_lock, reading", "vma": "VMA lock", "spec": "speculation (RCU)"}


def command(argv: list[str]) -> int:
    parser = options.run_parser("trace", "Run a program and write what happened to its faults as a trace for Perfetto.")
    parser.add_argument("-o", metavar="FILE", dest="output", default="trace.json", type=options.output_file,
                        help="the trace (default trace.json); may also stand behind the program's arguments")
    chosen = options.without_gdb(options.parse_run(own_options_first(argv), parser), "trace")
    recording = record(chosen)
    with naming(f"cannot write {chosen.output}"), open(chosen.output, "w", encoding="utf-8") as file:
        json.dump(perfetto(recording, sources(chosen.program, recording)), file)
    runner.say(f"{len(recording.events)} events in {chosen.output}" + lost_words(recording) +
               "; open it at https://ui.perfetto.dev")
    return recording.status


def perfetto(recording: Recording, source_of: Sources) -> dict[str, list[Json]]:
    """
    Returns the Trace Event Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
    """
    tracks = Tracks()
    tracks.process(CPUS, 0, "CPUs")
    for cpu in range(recording.cpus):
        tracks.thread(CPUS, track_of_cpu(cpu), f"CPU {cpu}")
    by_thread: dict[int, list[Event]] = {}
    for event in recording.events:
        by_thread.setdefault(event.tid, []).append(event)
    for tid, events in by_thread.items():
        if tid:
            name_thread(tracks, tid, recording.threads)
            thread_slices(tracks, tid, events, source_of)
    cpu_slices(tracks, recording.events, source_of)
    return {"traceEvents": tracks.finished()}


def name_thread(tracks: "Tracks", tid: int, threads: dict[int, tuple[int, str]]) -> None:
    """
    Names a thread. One that had not ended when the kernel panicked is shown as a process of its own, for lack of data.
    """
    pid, name = threads.get(tid, (tid, "thread"))
    _, process_name = threads.get(pid, (pid, name))
    tracks.process(pid, pid, process_name)
    tracks.thread(pid, tid, name)


def track_of_cpu(cpu: int) -> int:
    return CPUS + 1 + cpu


@dataclasses.dataclass
class Slice:
    process: int
    track: int
    start: int
    end: int
    category: str
    name: str
    keys: Json


class Tracks:
    """
    Collects slices. On each track they are made to nest, since events recorded by two CPUs may overlap slightly.
    Perfetto puts a slice, or an end of an arrow, into the slice that is open when it reads it: hence the order of
    `finished`.
    """

    def __init__(self) -> None:
        self.metadata: list[Json] = []
        self.processes: set[int] = set()
        self.process_of: dict[int, int] = {}  # by track
        self.slices: list[Slice] = []
        self.flows: list[tuple[Slice, Slice]] = []

    def describe(self, process: int, track: int, what: str, **arguments: object) -> None:
        self.metadata.append({"ph": "M", "name": what, "pid": process, "tid": track, "args": arguments})

    def process(self, process: int, place: int, name: str) -> None:
        if process not in self.processes:
            self.processes.add(process)
            self.describe(process, process, "process_name", name=name)
            self.describe(process, process, "process_sort_index", sort_index=place)

    def thread(self, process: int, track: int, name: str) -> None:
        self.process_of[track] = process
        self.describe(process, track, "thread_name", name=name)
        self.describe(process, track, "thread_sort_index", sort_index=track)

    def add(self, track: int, start: int, end: int, category: str, name: str, keys: Json) -> Slice:
        one = Slice(self.process_of[track], track, start, max(end, start + 1), category, name, keys)
        self.slices.append(one)
        return one

    def flow(self, source: Slice, target: Slice) -> None:
        self.flows.append((source, target))

    def finished(self) -> list[Json]:
        self.slices.sort(key=lambda one: (one.start, -one.end))
        self.nest()
        arrows = [end for number, ends in enumerate(self.flows, 1) for end in flow_ends(number, *ends)]
        return self.metadata + sorted([as_json(one) for one in self.slices] + arrows, key=lambda event: event["ts"])

    def nest(self) -> None:
        stacks: dict[int, list[Slice]] = {}
        for one in self.slices:
            stack = stacks.setdefault(one.track, [])
            while stack and stack[-1].end <= one.start:
                stack.pop()
            if stack:
                one.end = min(one.end, stack[-1].end)
            stack.append(one)


def as_json(one: Slice) -> Json:
    return {"ph": "X", "name": one.name, "cat": one.category, "pid": one.process, "tid": one.track,
            "ts": microseconds(one.start), "dur": microseconds(one.end - one.start), "args": one.keys}


def microseconds(ns: int) -> float:
    """
    Returns the time in microseconds, as the format requires. Adds 0.1 ns, for the versions of Perfetto that cut the
    nanoseconds off instead of rounding.
    """
    return round(ns / 1000 + 0.0001, 4)


def flow_ends(number: int, source: Slice, target: Slice) -> tuple[Json, Json]:
    common = {"name": "tries again", "cat": "retry", "id": number}
    return ({"ph": "s", **common, "pid": source.process, "tid": source.track, "ts": microseconds(source.start)},
            {"ph": "f", "bp": "e", **common, "pid": target.process, "tid": target.track,
             "ts": microseconds(target.start)})


def arguments(event: Event, source_of: Sources) -> Json:
    keys: Json = dict(event.keys, cpu=event.cpu, thread=event.tid)
    if (event.tid, keys.get("ip")) in source_of:
        keys["source"] = source_of[event.tid, keys["ip"]]
    return keys


def inside(events: list[Event], index: int, name: str) -> list[Event]:
    """Returns the events of that name that began and ended during events[index]; they precede it."""
    outer, found = events[index], []
    for event in (events[i] for i in range(index - 1, -1, -1)):
        if event.end < outer.start:
            break
        if event.name == name and event.start >= outer.start:
            found.append(event)
    return found


def thread_slices(tracks: Tracks, tid: int, events: list[Event], source_of: Sources) -> None:
    gave_up = None
    for index, event in enumerate(events):
        one = tracks.add(tid, event.start, event.end, event.name, title(event), arguments(event, source_of))
        if event.name == "attempt":
            add_held_lock(tracks, tid, events, index)
            if gave_up:
                tracks.flow(gave_up, one)
            gave_up = one if event.keys["end"] in ("gave_up", "retry") else None
        elif event.name == "mmap_write":
            add_locked_vmas(tracks, tid, events, index)


def add_held_lock(tracks: Tracks, tid: int, events: list[Event], index: int) -> None:
    """
    Draws the strategy's lock from when it was acquired: the attempt may have waited for mmap_lock. Never from the first
    moment, where arrows end, since those belong to the attempt.
    """
    event = events[index]
    waits = inside(events, index, "lock_wait") if event.keys["strategy"] == "mmap" else []
    since = max((wait.end for wait in waits if wait.keys["rank"] == "MMAP_LOCK"), default=event.start + 1)
    if since < event.end:
        tracks.add(tid, since, event.end, "lock", LOCKS[event.keys["strategy"]], {"address": event.keys["address"]})


def add_locked_vmas(tracks: Tracks, tid: int, events: list[Event], index: int) -> None:
    """Draws each locked VMA from its locking until mmap_lock is dropped."""
    end, locked = events[index].end, inside(events, index, "vma_write")[::-1]
    drawn = locked if len(locked) <= LOCKED_VMAS else locked[:LOCKED_VMAS - 1]
    for vma in drawn:
        tracks.add(tid, vma.end, end, "lock", f"VMA {vma.keys['vma']}, writing", {})
    more = locked[len(drawn):]
    if more:
        names = [vma.keys["vma"] for vma in more]
        tracks.add(tid, more[0].end, end, "lock", f"{len(more)} more VMAs, writing", {"vmas": names})


def cpu_slices(tracks: Tracks, events: list[Event], source_of: Sources) -> None:
    """Draws what each CPU did; of an event that slept, the part after its last wake-up."""
    woke: dict[int, int] = {}
    found: dict[int, list[Event]] = {}
    for event in events:
        if event.name in ("lock_wait", "page_wait"):
            woke[event.tid] = event.end
            continue
        start = max(event.start, woke.get(event.tid, 0) if event.tid else 0)
        found.setdefault(event.cpu, []).append(dataclasses.replace(event, start=start, end=max(event.end, start + 1)))
    for cpu, mine in found.items():
        for event, start, end in parts(mine):
            tracks.add(track_of_cpu(cpu), start, end, event.name, title(event), arguments(event, source_of))


def parts(events: list[Event]) -> collections.abc.Iterator[tuple[Event, int, int]]:
    """
    Yields (event, start, end) for the events of one CPU. When another thread appears on it, the events of the previous
    one are cut off there, and continue when that thread appears again.
    """
    starts = ((event.start, True, -event.end, number) for number, event in enumerate(events))
    ends = ((event.end, False, -event.start, number) for number, event in enumerate(events))
    since: dict[int, dict[int, int]] = {}  # {tid: {number: start of the current part}}
    running = -1  # no thread yet
    for moment, begins, _, number in sorted((*starts, *ends)):
        tid = events[number].tid
        if tid != running:
            yield from ((events[other], start, moment) for other, start in since.get(running, {}).items()
                        if start < moment)
            since[tid], running = dict.fromkeys(since.get(tid, {}), moment), tid
        if begins:
            since[tid][number] = moment
        elif (start := since[tid].pop(number)) < moment:
            yield events[number], start, moment
