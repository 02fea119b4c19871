# SPDX-License-Identifier: MIT
"""
The costs of faults, for `faultline report`. They cover all attempts of a fault: the instructions that its own CPU
executed for it (turns.py) and its waits. The verdict on the policies is derived from them.

A wait, too, is measured in instructions: those that the busiest CPU executed during it, as if the CPUs ran in parallel.
"""

import bisect
import collections
import collections.abc
import dataclasses
import statistics
import typing

from .recording import Event
from .turns import Turns

Run = dict[str, typing.Any]  # the numbers of one run, as the report has them in JSON

# The categories of a fault's instructions, in the order of the bars.
PARTS = (
    ("spec", "answered by speculation"), ("vma", "answered under the VMA lock"), ("mmap", "answered under mmap_lock"),
    ("gave_up", "attempts that gave up or dropped their lock, and going on to the next"),
    ("shootdown", "TLB shootdowns"), ("other", "making room, swap, interrupts of other CPUs' flushes"),
    ("wait", "waiting for a lock or a page"),
    ("others", "other threads, outside of faults, waiting for mmap_lock or a VMA"),
)
STRATEGIES = {"spec": "speculation", "vma": "the VMA lock", "mmap": "mmap_lock"}
KINDS = {
    ("anon", "read"): "first read of anonymous memory (zero page)",
    ("anon", "write"): "first write to anonymous memory",
    ("write_protect", "write"): "write to a protected page (copy on write)",
    ("swap", "read"): "read of a swapped-out page", ("swap", "write"): "write to a swapped-out page",
    ("mapping", "read"): "read of a page of a file or shared memory",
    ("mapping", "write"): "write to a page of a file or shared memory",
    ("mapping", "exec"): "execution of a page of a file",
}
ANSWERS = {
    "no_mapping": "not resolved: there is no memory (SIGSEGV)",
    "no_access": "not resolved: the access is not permitted (SIGSEGV)",
    "no_key": "not resolved: the protection key forbids it (SIGSEGV)",
    "no_progress": "not resolved: no end to it (SIGSEGV)",
    "beyond_end": "not resolved: beyond the end of the file (SIGBUS)",
    "io_error": "not resolved: an I/O error (SIGBUS)",
    "out_of_memory": "not resolved yet: room had to be made first", "killed": "not resolved: the thread is killed",
}
MM_LOCKS = {"MMAP_LOCK": "mmap_lock", "VMA": "a VMA's lock"}
MM_WAITS = tuple(MM_LOCKS.values())
# policies that differ by less count as equal: the schedule fuzzer's own calls are two or three per cent
TOLERANCE = 0.05
WAITS_TOLERANCE = 0.2  # for the part that is waits, which vary more from one schedule to another
FEW_FAULTS = 50


@dataclasses.dataclass
class Fault:
    kind: str
    parts: collections.Counter[str]

    def own(self) -> int:
        return sum(self.parts.values()) - self.parts["wait"]


@dataclasses.dataclass
class WholeFault(Event):
    """All attempts of one fault, as an event that encloses theirs."""

    last: Event


@dataclasses.dataclass
class Costs:
    """
    The costs of one run: its faults; waits {(what, in a fault or not): [instructions]}; times that mmap_lock was
    write-locked.
    """
    faults: list[Fault] = dataclasses.field(default_factory=list)
    waits: dict[tuple[str, bool], list[int]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    writing: list[int] = dataclasses.field(default_factory=list)

    def others(self) -> int:
        return sum(sum(mine) for (what, of_fault), mine in self.waits.items()
                   if not of_fault and what.startswith(MM_WAITS))

    def numbers(self) -> Run:
        parts = collections.Counter(others=self.others())
        kinds: dict[str, list[int]] = {}
        for fault in self.faults:
            parts.update(fault.parts)
            kinds.setdefault(fault.kind, []).append(fault.own())
        return {
            "faults": len(self.faults), "own": sum(fault.own() for fault in self.faults),
            "time": [parts[key] for key, _ in PARTS],
            "costs": {kind: {"number": len(mine), "mean": round(statistics.mean(mine)),
                             "median": round(statistics.median(mine))}
                      for kind, mine in sorted(kinds.items(), key=lambda item: -len(item[1]))},
            "waits": [{"what": what, "of_fault": of_fault, "number": len(mine), "time": sum(mine)}
                      for (what, of_fault), mine in sorted(self.waits.items(), key=lambda item: -sum(item[1]))],
            "writing": {"number": len(self.writing), "time": sum(self.writing)},
        }


def costs_of(events: list[Event], turns: Turns) -> Costs:
    by_thread, found = collections.defaultdict(list), Costs()
    for event in events:
        by_thread[event.tid].append(event)
    for tid, mine in by_thread.items():
        if tid:
            add_thread(found, mine, turns)
    return found


def part_of(event: Event) -> str:
    if event.name == "attempt":
        return "gave_up" if event.keys["end"] in ("gave_up", "retry") else event.keys["strategy"]
    return {"lock_wait": "wait", "page_wait": "wait", "mmap_write": "writer", "vma_write": "writer",
            "shootdown": "shootdown", "fault": "gave_up"}.get(event.name, "other")


def add_thread(found: Costs, events: list[Event], turns: Turns) -> None:
    """Adds one thread's events. An event's own instructions exclude those of nested events, and of its sleeps."""
    waits = Waits(events)
    faults = [WholeFault(0, one[0].start, one[-1].end, one[0].tid, "fault", {}, one[-1])
              for one in attempts_by_fault(events)]
    # (event, its fault or None) of the events that enclose the current one, the innermost last
    stack: list[tuple[Event, Fault | None]] = []
    for event in sorted([*faults, *events], key=lambda event: (event.start, -event.end, event.name != "fault")):
        while stack and stack[-1][0].end <= event.start and stack[-1][0].end < event.end:
            stack.pop()
        outer, fault = stack[-1] if stack else (None, None)
        if isinstance(event, WholeFault):
            fault = Fault(kind_of(event.last), collections.Counter())
            found.faults.append(fault)
        if part_of(event) == "wait":
            spent, value = 0, turns.elapsed(event.start, event.end)
            found.waits[name_of_wait(event), fault is not None].append(value)
        else:
            spent = value = waits.awake(event, turns)
        if event.name == "mmap_write":
            found.writing.append(value)
        if fault:
            fault.parts[part_of(event)] += value
            if outer and event.name != "fault":
                fault.parts[part_of(outer)] -= spent
        stack.append((event, fault))


class Waits:
    """The intervals during which a thread slept."""

    def __init__(self, events: list[Event]) -> None:
        self.all = sorted((event.start, event.end) for event in events if part_of(event) == "wait")

    def awake(self, event: Event, turns: Turns) -> int:
        """
        Returns the instructions executed for this event, without its sleeps: after each, it may be on another CPU.
        """
        own, since = 0, event.start
        for start, end in self.all[bisect.bisect_left(self.all, (event.start,)):]:
            if start >= event.end:
                break
            if start > since:
                own += turns.own(since, start)
            since = max(since, end)
        return own + turns.own(since, max(since, event.end))


def attempts_by_fault(events: list[Event]) -> collections.abc.Iterator[list[Event]]:
    """Yields lists of attempts, one list for each fault: the last attempt of a list answers it."""
    mine = []
    for event in events:
        if event.name == "attempt":
            mine.append(event)
            if part_of(event) != "gave_up":
                yield mine
                mine = []


def kind_of(attempt: Event) -> str:
    keys = attempt.keys
    if keys.get("answer") != "done":
        answer = keys.get("answer", keys["end"])
        return ANSWERS.get(answer, f"not resolved: {answer}")
    return KINDS.get((keys["kind"], keys["access"]),
                     "nothing to do: another thread was first" if keys["kind"] == "nothing" else
                     f"{keys['kind']}, {keys['access']}")


def name_of_wait(event: Event) -> str:
    if event.name == "page_wait":
        return "a page"
    rank = event.keys["rank"]
    return f"{MM_LOCKS[rank]} for {event.keys['for']}" if rank in MM_LOCKS else f"the lock {rank}"


# --- which policy was best --------------------------------------------------------------------------------------------


def per_fault(run: Run) -> float:
    """Returns the instructions per fault: its own, its waits, and those of other threads for mmap_lock and VMAs."""
    return sum(run["time"]) / max(run["faults"], 1)


def parts_of(run: Run) -> dict[str, float]:
    """Returns {part: instructions per fault}."""
    return {key: time / max(run["faults"], 1) for (key, _), time in zip(PARTS, run["time"])}


def waiting(run: Run) -> float:
    return parts_of(run)["wait"] + parts_of(run)["others"]


def schedules(run: Run) -> list[float]:
    """Returns the cost of a fault under each schedule that was tried."""
    return [per_fault(run), *run.get("elsewhere", [])]


def middle(run: Run) -> float:
    return statistics.median(schedules(run))


def waits_decide(runs: list[Run]) -> bool:
    """Returns whether most of the difference between the best policy and the worst is in waits."""
    best, worst = min(runs, key=per_fault), max(runs, key=per_fault)
    return not alike(best, worst) and waiting(worst) - waiting(best) > (per_fault(worst) - per_fault(best)) / 2


def alike(best: Run, run: Run) -> bool:
    """Returns whether the difference is too small to be named, or is reversed under another schedule."""
    if min(schedules(run)) <= max(schedules(best)):
        return True
    return per_fault(run) - per_fault(best) <= (TOLERANCE * (per_fault(best) - waiting(best))
                                                + WAITS_TOLERANCE * waiting(best))


def verdict(runs: list[Run], cpus: int, reasons: dict[str, str]) -> str:
    """Returns a sentence that says which policy was best, and why. `reasons` maps names to meanings."""
    careful = "" if len({run["status"] for run in runs}) == 1 else "The runs did not end alike, so take care: "
    if any(run["lost"] for run in runs):
        careful = "Events are missing, so take care: "
    if not any(run["faults"] for run in runs):
        return "No page fault was recorded: there is nothing for the policies to differ in."
    if len(runs) == 1:
        return (f"{careful}Only policy {runs[0]['policy']} was run: a fault costs {number(per_fault(runs[0]))} "
                "instructions, waiting included.")
    ranked = sorted(runs, key=middle)
    best, worst = ranked[0], ranked[-1]
    few = f" (With {number(best['faults'])} faults that says little.)" if best["faults"] < FEW_FAULTS else ""
    if alike(best, worst):
        return (f"{careful}No difference worth naming: a fault costs {number(middle(best))} to {number(middle(worst))} "
                f"instructions, whatever the policy{why_alike(runs, cpus)}.{few}{spread(runs)}")
    near = [run["policy"] for run in ranked if alike(best, run)]
    saved = 100 * (1 - middle(best) / middle(worst))
    words = f"Policy {near[0]} was" if len(near) == 1 else f"Policies {', '.join(near[:-1])} and {near[-1]} were"
    return (f"{careful}{words} best: {number(middle(best))} instructions a fault, waiting included, {saved:.0f} % "
            f"fewer than under {worst['policy']} ({number(middle(worst))}), {why(best, worst, reasons)}."
            f"{but(best, runs)}{few}{spread(runs)}")


def spread(runs: list[Run]) -> str:
    """Returns the ranges of the schedules that were tried, as text."""
    ranges = [f"{run['policy']} {number(min(schedules(run)))} to {number(max(schedules(run)))}" for run in runs]
    tried = len(schedules(runs[0]))
    return f" (Medians of {tried} schedules: {', '.join(ranges)}. What follows is the first.)" if tried > 1 else ""


def but(best: Run, runs: list[Run]) -> str:
    """Returns a sentence about the policy that would be best without waits, if it is another one."""
    def own(run: Run) -> float:
        return run["own"] / max(run["faults"], 1)

    cheapest = min(runs, key=own)
    if own(cheapest) * (1 + TOLERANCE) >= own(best):
        return ""
    return f" Without waiting {cheapest['policy']} is cheapest: {number(own(cheapest))} against {number(own(best))}."


def why_alike(runs: list[Run], cpus: int) -> str:
    if any(run["policy"] == "mmap" and not name.startswith("mmap ") for run in runs for name in run["attempts"]):
        return ", since the program sets the policy itself"
    tried = any(name.startswith("spec ") for run in runs for name in run["attempts"])
    if not tried and any("spf_skip_single_thread" in run["skipped"] for run in runs):
        alone = ("the program has one thread" if runs[0]["processes"] < 2 else
                 "each process of the program has one thread")
        return f", since {alone}: no thread disturbs it, and speculation, which is for threads, is not attempted"
    waited = max(map(waiting, runs))
    if waited > TOLERANCE * per_fault(runs[0]):
        return f", of which up to {number(waited)} are spent waiting for other threads"
    return (", since with one CPU no other thread runs at the same time" if cpus == 1 else
            ", since threads hardly wait for each other")


def why(best: Run, worst: Run, reasons: dict[str, str]) -> str:
    """Explains the difference by the part in which the two differ most."""
    groups = {why_waiting: ("wait", "others"), why_gave_up: ("gave_up",), why_answers: ("spec", "vma", "mmap"),
              why_other: ("shootdown", "other")}
    less, more = parts_of(best), parts_of(worst)
    return max(groups, key=lambda group: sum(more[part] - less[part] for part in groups[group]))(best, worst, reasons)


def why_waiting(best: Run, worst: Run, _reasons: dict[str, str]) -> str:
    top = max(worst["waits"], key=lambda wait: wait["time"])
    return (f"because threads waited less: {number(waiting(best))} instructions a fault instead of "
            f"{number(waiting(worst))}; under {worst['policy']} "
            f"{plural(top['number'], 'fault' if top['of_fault'] else 'time')} waited for {top['what']}, "
            f"{number(top['time'] / top['number'])} instructions each")


def why_gave_up(_best: Run, worst: Run, reasons: dict[str, str]) -> str:
    name, times = max(worst["reasons"].items(), key=lambda item: item[1], default=("", 0))
    return (f"because under {worst['policy']} {number(sum(worst['reasons'].values()))} attempts gave up before "
            f"another one answered, {number(times)} of them since {reasons.get(name, name)}")


def why_answers(best: Run, worst: Run, _reasons: dict[str, str]) -> str:
    return (f"because {main_strategy(best)} answers with fewer instructions than {main_strategy(worst)}"
            if main_strategy(best) != main_strategy(worst) else
            f"because the same answers by {main_strategy(best)} took fewer instructions")


def why_other(_best: Run, worst: Run, _reasons: dict[str, str]) -> str:
    return f"because under {worst['policy']} faults had more to do with making room, swapping and flushing TLBs"


def main_strategy(run: Run) -> str:
    return max(STRATEGIES.items(), key=lambda item: run["attempts"].get(f"{item[0]} answered", 0))[1]


# --- one sentence for each policy -------------------------------------------------------------------------------------


def headline(run: Run, reasons: dict[str, str]) -> str:
    if not run["faults"]:
        return "No fault was recorded."
    kinds = [f"{kind} {number(cost['mean'])}" for kind, cost in list(run["costs"].items())[:3]]
    more = f"; {plural(len(run['costs']) - 3, 'rarer kind')}" if len(run["costs"]) > 3 else ""
    return (f"{plural(run['faults'], 'fault')}, {number(run['own'] / run['faults'])} instructions each on average "
            f"({'; '.join(kinds)}{more}). {waited_words(run)} {speculation_words(run, reasons)}").strip()


def waited_words(run: Run) -> str:
    waits = [wait for wait in run["waits"] if wait["time"]]
    said = [f"{plural(wait['number'], 'time')} for {wait['what']}{' by faults' if wait['of_fault'] else ''}, "
            f"{number(wait['time'] / wait['number'])} instructions each" for wait in waits[:2]]
    return f"Waited: {'; '.join(said)}." if said else "No thread waited for a lock or a page."


def speculation_words(run: Run, reasons: dict[str, str]) -> str:
    if run["policy"] in ("mmap", "vma"):
        return ""
    tried = {name.split()[1]: times for name, times in run["attempts"].items() if name.startswith("spec ")}
    skipped = max(((times, name) for name, times in run["skipped"].items() if name.startswith("spf_")), default=None)
    if not tried:
        return "Speculation was never attempted" + (f": {reasons.get(skipped[1], skipped[1])}." if skipped else ".")
    won, all_of_them = tried.get("answered", 0), sum(tried.values())
    lost = max(((times, name) for name, times in run["reasons"].items() if name.startswith("spf_")), default=None)
    return (f"Speculation won {number(won)} of {number(all_of_them)} attempts ({100 * won / all_of_them:.1f} %)" +
            (f"; it gave up mostly since {reasons.get(lost[1], lost[1])} ({number(lost[0])})." if lost else "."))


def number(value: float) -> str:
    return f"{round(value):,}"


def plural(count: float, word: str) -> str:
    return f"{number(count)} {word}{'' if count == 1 else 's'}"
