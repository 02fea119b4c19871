# SPDX-License-Identifier: MIT
"""`faults` shows the last events of each CPU's ring; `break-fault` stops when an attempt ends as described."""

import collections.abc
import gdb

from . import kernel, reasons, stack, swap, walk
from .command import Command, counted, pids, say, table

SHOWN = 10
ACCESS = {"ACCESS_READ": "read", "ACCESS_WRITE": "write", "ACCESS_EXEC": "execute"}
WRAP = (1 << 32) - 1


def name_of(enum: str, value: gdb.Value | int, prefix: str) -> str:
    return kernel.enum_name(enum, value, prefix).lower()


def ring_events(cpu: int, number: int) -> collections.abc.Iterator[gdb.Value]:
    """Yields the last complete events of a CPU, the oldest first."""
    ring = kernel.per_cpu(kernel.variable("counters"), cpu)["ring"]
    size, head, mask = kernel.type_named("struct fault_event").sizeof, int(ring["head"]), int(ring["mask"])
    if not mask:
        return
    for back in range(min(number, mask // size + 1), 0, -1):
        place = head - back * size & WRAP
        event = kernel.as_pointer(int(ring["events"]) + (place & mask), "struct fault_event")
        if int(event["seq"]) == place and int(event["end"]):
            yield event


def ended_for_a_reason(story: gdb.Value) -> bool:
    """Returns whether the attempt has a reason of its own; otherwise the field holds that of an earlier attempt."""
    return name_of("fault_end", story["end"], "END_") in ("gave_up", "retry")


def attempt_words(story: gdb.Value) -> tuple[str, str, str]:
    """Returns the strategy, how the attempt ended, and the reason or the answer."""
    strategy, end = (name_of("fault_strategy_id", story["tried"], "STRATEGY_"),
                     name_of("fault_end", story["end"], "END_"))
    if ended_for_a_reason(story):
        why = name_of("fault_reason", story["reason"], "REASON_")
    else:
        why = name_of("fault_answer", story["answer"], "FAULT_")
    return strategy, end.replace("_", " "), why


def details(kind: str, address: int, value: int) -> list[str]:
    """Returns [where, what] from the event's address and value, whose meaning is in mm/debug/events.h."""
    where = f"{address:#x}"
    if kind == "look_again":
        return [where, name_of("fault_reason", value, "REASON_")]
    if kind == "lock_wait":
        bit = kernel.define("mm/debug/events.h", "EVENT_FOR_WRITING")
        return [where, f"{name_of('lock_rank', value & ~bit, 'RANK_')} for {'writing' if value & bit else 'reading'}"]
    if kind == "vma_write":
        return [where, f"to {value:#x}"]
    if kind in ("swap_in", "swap_out"):
        return ["", "area {}, slot {}".format(*swap.number_of(value))]
    return {"page_wait": [where, f"frame {value:#x}"], "mmap_write": ["", f"sequence {value}"],
            "shootdown": [where, f"to CPU {kernel.cpu_list(value)}"],
            "flush": ["", f"for CPU {kernel.cpu_list(value)}"],
            "reclaim": ["", f"{counted(value, 'page')} became free"]}[kind]


def describe(event: gdb.Value) -> list[str]:
    kind = name_of("fault_event_type", event["type"], "EVENT_")
    cycles = f"at {int(event['start'])} for {int(event['end']) - int(event['start'])} cycles"
    who = f"tid {int(event['tid'])}" if int(event["tid"]) else "idle"
    if kind != "attempt":
        return [who, kind.replace("_", " "), *details(kind, int(event["address"]), int(event["value"])), cycles]
    story = event["story"]
    strategy, end, why = attempt_words(story)
    access = ACCESS[kernel.enum_name("fault_access", story["access"])]
    return [who, f"{access} of {name_of('fault_kind', story['kind'], 'KIND_')}", f"{int(event['address']):#x}",
            f"{strategy} {end}: {why}",
            cycles + (f", from {stack.place(int(event['ip']))}" if int(event["ip"]) else ", in exec")]


class Faults(Command):
    """
    Show the last events of each CPU: attempts to resolve faults, waits, locks for writing, shootdowns, swap, reclaim.
    Usage: faults [N]

    N is how many for each CPU (10). The same is in /proc/fault_trace; docs/reasons.md explains the reasons. Under
    --deterministic and --schedule, cycles are instructions: `--stop-at` takes the
    number behind “at”.
    """

    name = "faults"

    def choices(self, words: list[str]) -> list[str]:
        return [str(SHOWN)] if not words else []

    def run(self, words: list[str]) -> None:
        self.at_most(words, 1)
        number = self.number(words[0], "a number of events") if words else SHOWN
        if number < 1:
            self.wrong("faults: at least one.")
        for cpu in range(kernel.nr_cpus()):
            events = list(ring_events(cpu, number))
            say(f"CPU {cpu}:" + ("" if events else " nothing yet"))
            table([["  ", *describe(event)] for event in events])


# --- Stopping at one -------------------------------------------------------------------------------------------------

class Wanted:
    """A description of attempts. Fields that are not given match every attempt."""

    FIELDS = {"kind": ("fault_kind", "KIND_"), "access": ("fault_access", "ACCESS_"),
              "tried": ("fault_strategy_id", "STRATEGY_"), "reason": ("fault_reason", "REASON_"),
              "end": ("fault_end", "END_")}

    def __init__(self) -> None:
        self.pid: int | None = None
        self.page: int | None = None
        self.fields: dict[str, int] = {}
        self.names: list[str] = []

    @classmethod
    def words(cls) -> dict[str, tuple[str, int]]:
        """Returns {word: (field, number)} of the words that break-fault takes, besides a pid and an address."""
        found = {}
        for field, (enum, prefix) in cls.FIELDS.items():
            for name, number in kernel.enum(enum).items():
                word = ACCESS.get(name, name.removeprefix(prefix).lower())
                if name.startswith(prefix) and word not in ("unknown", "none", "continue"):
                    found[word] = (field, number)
        return found

    def add(self, word: str, command: Command) -> None:
        if word.isdecimal() and self.pid is not None or word.startswith("0x") and self.page is not None:
            command.wrong(f"break-fault: “{word}” is a second PID or address; one of each is enough.")
        if word.isdecimal():
            self.pid = int(word)
            return
        if word.startswith("0x"):
            self.page = command.address(word) & -kernel.PAGE_SIZE
            return
        known = self.words()
        if word not in known:
            command.wrong(f"break-fault: “{word}” is none of these: a PID, 0xADDRESS, {', '.join(known)}.")
        field, number = known[word]
        if field in self.fields:
            command.wrong(f"break-fault: “{word}” is a second word for the same thing: no attempt is both.")
        self.fields[field] = number
        self.names.append(word)

    def sentence(self) -> str:
        pid = f" of pid {self.pid}" if self.pid is not None else ""
        page = f" at {self.page:#x}" if self.page is not None else ""
        which = f" that are {' '.join(self.names)}" if self.names else ""
        return f"attempts{pid}{page}{which}" if pid or page or which else "every attempt"

    def matches(self, fault: gdb.Value) -> bool:
        if self.pid is not None and ((task := walk.selected_task()) is None or int(task["process"]["pid"]) != self.pid):
            return False
        if self.page is not None and int(fault["address"]) != self.page:
            return False
        if "reason" in self.fields and not ended_for_a_reason(fault):
            return False
        return all(int(fault[field]) == number for field, number in self.fields.items())


class BreakFault(gdb.Breakpoint):
    """A breakpoint at the end of every attempt, which stops at those that match."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__("event_attempt")
        self.wanted = wanted
        self.silent = True

    def stop(self) -> bool:
        fault = gdb.newest_frame().read_var("f")
        if not self.wanted.matches(fault):
            return False
        task = walk.selected_task()
        say(f"{walk.task_name(task)} on CPU {walk.selected_cpu()}: "
            f"{ACCESS[kernel.enum_name('fault_access', fault['access'])]} {int(fault['address']):#x} "
            f"({name_of('fault_kind', fault['kind'], 'KIND_')}): {' '.join(attempt_words(fault))}")
        return True


class BreakFaultCommand(Command):
    """
    Stop when an attempt to resolve a fault ends as described: by the event, not by a line.
    Usage: break-fault [PID] [0xADDRESS] [ACCESS] [KIND] [STRATEGY] [END] [REASON]

    The words may come in any order, and each may be missing: break-fault spec gave_up; break-fault 7 swap;
    break-fault write; break-fault vma_lock_miss. ACCESS is read, write or execute; KIND is anon, mapping, swap,
    write_protect or nothing; STRATEGY is spec, vma or mmap; END is answered, completed, gave_up, retry or would_block;
    REASON is a row of `reasons`. `delete` removes it like any breakpoint.
    """

    name = "break-fault"

    def choices(self, words: list[str]) -> list[str]:
        return [*Wanted.words(), *pids()]

    def run(self, words: list[str]) -> None:
        wanted = Wanted()
        for word in words:
            wanted.add(word, self)
        reason = wanted.fields.get("reason")
        if reason and reasons.all_reasons()[kernel.enum_name("fault_reason", reason, "REASON_")].kind != "reason":
            raise gdb.GdbError("break-fault: that is counted without an attempt's ending: a skip, or a second look.")
        self.want_debug()
        stop = BreakFault(wanted)
        say(f"Breakpoint {stop.number}: at {wanted.sentence()}")
