# SPDX-License-Identifier: MIT
"""
`faultline report PROGRAM`: runs the same program under each fault policy and writes one self-contained HTML file.
It shows which policy was best and why, the costs and waits of faults (costs.py), how attempts ended, when threads
faulted in the same VMA, and the pages of the address space.

By default the runs use --schedule 1, so that times are instructions and the report is reproducible, and further
schedules if waits decide which policy is best; and the release kernel, whose costs are the relevant ones.
"""

import argparse
import bisect
import collections
import collections.abc
import contextlib
import copy
import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
import typing

from . import lists, machine, options, run as runner, turns
from .costs import PARTS, Run, costs_of, headline, part_of, per_fault, verdict, waits_decide
from .recording import Event, Recording, lost_words, own_options_first, record, title
from .status import naming

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.html")
DATA_MARK = "/*REPORT*/null"
MAX_SLICES = 20000
MAX_THREADS = 8  # on the timeline: those with the most marks
MAX_CANDIDATES = 500
OTHER_SCHEDULES = (2, 3)
FIRST = 1  # the process that the machine starts first and whose end ends it


def command(argv: list[str]) -> int:
    parser = options.run_parser("report", "Run a program under each fault policy and write one HTML file "
                                "about its faults.")
    parser.add_argument("-o", metavar="FILE", dest="output", default="report.html", type=options.output_file,
                        help="the report (default report.html); may also stand behind the program's arguments")
    parser.add_argument("--csv", action="store_true", help="also print the numbers: policy,group,name,value; "
                        "may also stand at the end (the program's output goes to stderr in any case)")
    chosen = options.without_gdb(options.parse_run(own_options_first(argv, flags=("--csv",)), parser), "report")
    may_choose = not chosen.deterministic
    if may_choose:
        chosen.deterministic, chosen.schedule = True, 1
    if not chosen.kernel and not chosen.release:
        chosen.release = os.path.exists(os.path.join(machine.ROOT, "build", "faultline-release.elf"))
    told = has_turns()
    runs = [run_under(policy, chosen, told) for policy in ([chosen.fault] if chosen.fault else options.POLICIES)]
    if may_choose and waits_decide(runs):
        try_other_schedules(chosen, runs, told)
    write_report(chosen, runs, told or chosen.cpus == 1)
    if chosen.csv:
        write_csv(runs)
    return max(one["status"] for one in runs)


def has_turns() -> bool:
    """Returns whether this QEMU records the turns of the CPUs (turns.py)."""
    probe = [machine.qemu_binary(), "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    arguments = turns.plugin_arguments(os.devnull, os.devnull)
    said = subprocess.run(probe + arguments, input='{"execute":"qmp_capabilities"}{"execute":"quit"}',
                          capture_output=True, text=True, check=False)
    if arguments and not said.returncode:
        return True
    runner.say("whose turn it is cannot be seen (the plugin build/turns.so was not built, or this QEMU does not "
               "take it): what other CPUs execute meanwhile counts as a fault's own; with --cpus 1 there are none")
    return False


def try_other_schedules(chosen: argparse.Namespace, runs: list[Run], told: bool) -> None:
    """Runs the other schedules: which thread waits for which is chance, so one schedule proves little."""
    runner.say("what threads wait decides, so each policy runs under schedules "
               f"{' and '.join(map(str, OTHER_SCHEDULES))} as well")
    for run in runs:
        run["elsewhere"] = [per_fault(run_under(run["policy"], chosen, told, seed)) for seed in OTHER_SCHEDULES]


def run_under(policy: str, chosen: argparse.Namespace, told: bool, schedule: int | None = None) -> Run:
    mine = copy.copy(chosen)
    mine.fault, mine.schedule = policy, schedule or chosen.schedule
    kernel = chosen.kernel or machine.kernel_path(chosen.release)
    with tempfile.TemporaryDirectory(prefix="faultline-report-") as scratch, stdout_to_stderr():
        path = os.path.join(scratch, "turns")
        mine.qemu = chosen.qemu + (turns.plugin_arguments(path, kernel) if told else [])
        recording = record(mine)
        found = turns.read(path) or turns.OneAtATime()
    recording.events = recording.in_ticks()
    which = f"policy {policy}{f', schedule {schedule}' if schedule else ''}"
    runner.say(f"{which}: {len(recording.events)} events" + lost_words(recording))
    return summary(policy, recording, found)


@contextlib.contextmanager
def stdout_to_stderr() -> collections.abc.Iterator[None]:
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def write_report(chosen: argparse.Namespace, runs: list[Run], own: bool) -> None:
    reasons, careful = sentences(runs), "" if own else "What other CPUs executed is counted, too, so take care. "
    maps: list[dict[str, typing.Any]] = []
    for run in runs:
        memory_of_run = {"vmas": run.pop("vmas"), "states": run["states"]}
        same = next((one for one in maps if one["vmas"] == memory_of_run["vmas"]), None)
        if same:
            same["policies"].append(run["policy"])
        else:
            maps.append({"policies": [run["policy"]], **memory_of_run})
        run["headline"] = headline(run, reasons)
    about = {"program": shlex.join([os.path.basename(chosen.program), *chosen.args]), "cpus": chosen.cpus,
             "schedule": chosen.schedule, "release": chosen.release, "own": own, "parts": PARTS, "runs": runs,
             "maps": maps, "verdict": careful + verdict(runs, chosen.cpus, reasons), "command": runner.command_line(),
             "sentences": reasons}
    with open(TEMPLATE, encoding="utf-8") as file:
        template = file.read()
    # "</script" in the data would end the script.
    data = json.dumps(about, separators=(",", ":")).replace("<", "\\u003c")
    with (naming(f"cannot write {chosen.output}"),
          open(chosen.output, "w", encoding="utf-8", errors="surrogateescape") as file):
        file.write(template.replace(DATA_MARK, data))
    runner.say(f"the report is in {chosen.output}")


def sentences(runs: list[Run]) -> dict[str, str]:
    """Returns {reason: its meaning} for the reasons that occur in the runs."""
    met = {name for one in runs for key in ("reasons", "skipped") for name in one[key]}
    return {row[0]: row[3] for row in lists.rows("mm/reasons.h", "FAULT_REASONS") if row[0] in met}


def write_csv(runs: list[Run]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("policy", "group", "name", "value"))
    for one in runs:
        rows = [("run", "status", one["status"]), ("run", "events", one["events"]), ("run", "lost", one["lost"])]
        rows += [("attempts", name, number) for name, number in one["attempts"].items()]
        rows += [("reasons", name, number) for name, number in one["reasons"].items()]
        rows += [("skipped", name, number) for name, number in one["skipped"].items()]
        rows += [("kinds", name, number) for name, number in one["kinds"].items()]
        rows += [("faults", key, one[key]) for key in ("faults", "own")]
        rows += [("instructions", key, number) for (key, _), number in zip(PARTS, one["time"])]
        rows += [(what, kind, cost[what]) for kind, cost in one["costs"].items()
                 for what in ("number", "mean", "median")]
        rows += [("waited", wait["what"] + (" by faults" if wait["of_fault"] else ""), wait["time"])
                 for wait in one["waits"]]
        rows += [("pages", state, number) for state, number in one["states"].items()]
        out.writerows((one["policy"], *row) for row in rows)


# --- what one run has to say ------------------------------------------------------------------------------------------


def summary(policy: str, recording: Recording, found: turns.Turns) -> Run:
    attempts = [event for event in recording.events if event.name == "attempt"]
    first = min((event.start for event in recording.events), default=0)
    answered = [event for event in attempts if event.keys["end"] in ("answered", "completed")]
    states: collections.Counter[str] = collections.Counter()
    for _, number, state in recording.pages:
        states[state] += number
    return {
        "policy": policy, "status": recording.status, "events": len(recording.events), "lost": recording.lost,
        "attempts": counted(f"{event.keys['strategy']} {event.keys['end']}" for event in attempts),
        "reasons": counted(event.keys["reason"] for event in recording.events if "reason" in event.keys),
        "skipped": counted(event.keys["skipped"] for event in attempts if "skipped" in event.keys),
        "kinds": counted(event.keys["kind"] for event in answered),
        "processes": len({process_of(recording, event.tid) for event in attempts}),
        **costs_of(recording.events, found).numbers(), "states": dict(sorted(states.items())),
        "timeline": timeline(recording, attempts, first), "vmas": memory(recording),
    }


def counted(names: collections.abc.Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(names).items()))


def timeline(recording: Recording, attempts: list[Event], first: int) -> dict[str, object]:
    """Returns the events in the VMA that the most threads share, and when mmap_lock was held for writing."""
    low, high, name, pid = meeting_place(recording, attempts)
    slices: list[list[typing.Any]] = []  # [tid, start, duration, part, title, address]
    titles: dict[str, int] = {}
    for event in recording.events:
        if process_of(recording, event.tid) != pid:
            continue
        here = "address" in event.keys and event.name == "attempt" and low <= int(event.keys["address"], 16) < high
        if event.tid and (here or event.name in ("mmap_write", "lock_wait", "page_wait")):
            slices.append([event.tid, event.start - first, event.end - event.start, part_of(event),
                           titles.setdefault(title(event), len(titles)), event.keys.get("address", "")])
    marks = collections.Counter(one[0] for one in slices if one[5])
    threads = sorted(tid for tid, _ in marks.most_common(MAX_THREADS))
    slices = [one for one in slices if one[0] in threads][:MAX_SLICES]
    return {"low": f"{low:#x}", "high": f"{high:#x}", "name": name, "threads": threads,
            "more": len(marks) - len(threads), "titles": list(titles),
            "slices": [[threads.index(one[0]), *one[1:]] for one in slices]}


def process_of(recording: Recording, tid: int) -> int:
    return recording.threads.get(tid, (tid, ""))[0]


def meeting_place(recording: Recording, attempts: list[Event]) -> tuple[int, int, str, int]:
    """
    Returns (start, end, name, process) of the VMA that the most threads of one process touched, among the VMAs that
    still exist and those that were changed. Names are known only for the VMAs of the first process.
    """
    named = {(start, end): name for start, end, _, name in recording.vmas}
    changed = collections.Counter(event.keys["vma"] for event in recording.events if event.name == "vma_write")
    candidates = set(named)
    for text, _ in changed.most_common(MAX_CANDIDATES):
        start, end = (int(part, 16) for part in text.split("-"))
        candidates.add((start, end))
    touches = collections.defaultdict(list)  # pid: [(address, tid)]
    for event in attempts:
        touches[process_of(recording, event.tid)].append((int(event.keys["address"], 16), event.tid))

    def weight(place: tuple[int, tuple[int, int]]) -> tuple[int, int, int, int]:
        pid, vma = place
        mine = touches[pid][bisect.bisect_left(touches[pid], (vma[0], 0)):bisect.bisect_left(touches[pid], (vma[1], 0))]
        return len({tid for _, tid in mine}), len(mine), vma[0] - vma[1], -pid

    for mine in touches.values():
        mine.sort()
    pid, (low, high) = max(((pid, vma) for pid in touches for vma in candidates), key=weight,
                           default=(FIRST, (0, 1 << 47)))
    name = named.get((low, high)) or "anonymous memory" if pid == FIRST else f"memory of process {pid}"
    return low, high, name, pid


def memory(recording: Recording) -> list[list[typing.Any]]:
    """Returns [start, pages, permissions, name, [[first page, number, state], …]] of each VMA."""
    starts = [start for start, _, _, _ in recording.vmas]
    vmas: list[list[typing.Any]] = [
        [f"{start:#x}", (end - start) >> 12, permissions, name, []] for start, end, permissions, name in recording.vmas]
    for address, number, state in recording.pages:
        index = bisect.bisect_right(starts, address) - 1
        vmas[index][4].append([(address - starts[index]) >> 12, number, state])
    return vmas
