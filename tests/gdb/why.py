# SPDX-License-Identifier: MIT
"""
Tests `why` against the counters. A program runs whose faults end for every reason. The script asks `why` at the start
of each fault, and again when a thread is released from a race point. At the end of the fault, the counters of its CPU
must have moved as predicted, and no others.
"""

import os

import gdb

from faultline_gdb import kernel, reasons, walk, why
from harness import ask, check, finish, frame_value, silent, tid

# Each has a fault in user/tests/faults/foretold.c; all others have one in user/demo/reasons.c.
FORETOLD = {"spf_abort_file_ops", "vma_lock_abort_file_ops", "spf_abort_no_memory", "vma_lock_retry_page",
            "mmap_retry_page"}
# Needs all 128 requests for swap in use; the host tests cover that.
OUT_OF_REQUESTS = {"vma_lock_retry_swap_request", "mmap_retry_swap_request"}
ANSWERED = {"spec": "spf_answered", "vma": "vma_lock_answered", "mmap": "mmap_answered"}
NAMES = [name.removeprefix("COUNT_") for name in kernel.enum("counter")
         if name not in ("COUNT_FIRST_REASON", "NR_COUNTERS")]
NAMES += [name.removeprefix("REASON_") for name in kernel.enum("fault_reason") if name != "NR_FAULT_REASONS"]
COMPARED = set(ANSWERED.values()) | set(reasons.all_reasons())

BEGINS = {"reasons": ("run_script", "touch_alone"), "foretold": ("watch_from_here",)}
doors: "dict[int, Door]" = {}  # by tid
foretold: set[str] = set()  # reasons that were predicted and that occurred
compared = 0


def counters_of(cpu: int) -> dict[str, int]:
    value = kernel.per_cpu(kernel.variable("counters"), cpu)["value"]
    data = memoryview(kernel.read_bytes(int(value.address), value.type.sizeof)).cast("Q")
    return dict(zip(NAMES, data))


class Door:
    """A fault that has started: the prediction, and the counters of its CPU."""

    def __init__(self, cpu: int) -> None:
        frame = gdb.newest_frame()
        self.cpu, self.before = cpu, counters_of(cpu)
        access = why.ACCESS[kernel.enum_name("fault_access", frame.read_var("access"))]
        from_user = bool(int(frame.read_var("flags")) & kernel.enum("fault_flag")["FAULT_USER"])
        self.address, self.access = int(frame.read_var("addr")), access
        self.attempts = why.predict(frame.read_var("mm"), self.address, access, from_user)
        self.expected = [counter_of(one) for one in self.attempts]
        self.lines = [one.place.line() for one in self.attempts]  # raises an error if the source has no such place
        self.open_end = self.attempts[-1].how == "retry" or waits_first(self.attempts)
        self.mixed = False

    def ask_again(self, one: why.Attempt) -> None:
        """Replaces the prediction: the current attempt will end differently, and what follows is not known yet."""
        kept = [counter_of(earlier) for earlier in self.attempts if earlier.strategy != one.strategy]
        before = kept[:[earlier.strategy for earlier in self.attempts].index(one.strategy)]
        detached = ["vma_lock_detached"] if any("vma_lock_detached" in note for note in one.notes) else []
        self.expected, self.open_end = [*before, *detached, counter_of(one)], True

    def compare(self) -> None:
        after = counters_of(self.cpu)
        moved = {name: after[name] - self.before[name] for name in COMPARED if after[name] != self.before[name]}
        missing = [name for name in self.expected if not moved.get(name)]
        extra = [name for name in moved if name not in self.expected] if not self.open_end else []
        if missing or extra:
            check(f"{self.access} {self.address:#x}: foretold {self.expected}", False,
                  f"the counters that moved: {moved}")
        foretold.update(name for name in self.expected if moved.get(name))


def counter_of(one: why.Attempt) -> str:
    return one.reason or ANSWERED[one.strategy]


def waits_first(attempts: list[why.Attempt]) -> bool:
    """Returns whether it will wait for another thread, which may change things before that ends."""
    return any("wait" in note for one in attempts for note in one.notes)


def running_tid() -> tuple[int, int]:
    return tid(), walk.selected_cpu()


def enter(returns: dict[int, gdb.Breakpoint]) -> None:
    tid, cpu = running_tid()
    if not returns:
        ask("why", r"^pid \d+ would (read|write|execute) 0x", r"^policy \w+: ",
            r"^      .*mm/[\w/]+\.c:\d+ in \w+\(\)$")
    for other in doors.values():
        other.mixed |= other.cpu == cpu
    doors[tid] = Door(cpu)
    caller = gdb.newest_frame().older().pc()
    if caller not in returns:
        returns[caller] = silent(f"*{caller:#x}")


def leave() -> None:
    global compared
    tid, cpu = running_tid()
    door = doors.pop(tid, None)
    if door and not door.mixed and door.cpu == cpu:
        compared += 1
        door.compare()


def let_go() -> None:
    """Handles the release of a thread from a race point: asks again how its fault will end."""
    point = kernel.static("mm/debug/race.c", "points")[int(frame_value("id"))]
    tid = int(point["tid"])
    task = next((task for task in walk.tasks() if int(task["tid"]) == tid), None)
    cpu = walk.cpu_running(task) if task is not None else None
    flight = why.in_flight(task) if cpu is not None else None
    one = flight.rest() if flight else None
    if one is not None and tid in doors:
        doors[tid].ask_again(one)


def set_consent(withheld: str) -> None:
    """Changes operations in memory so that they forbid one strategy, which no mapping of this kernel does."""
    for field in ("speculative", "without_mmap_lock"):
        place = int(kernel.variable("shared_anon_ops")[field].address)
        gdb.selected_inferior().write_memory(place, bytes([field != withheld]))


def watch() -> None:
    """Follows the scripts of the program, each from one of `begins` to race_disarm_all(), and ignores their setup."""
    begins, ends = places_of(*BEGINS[program]), places_of("race_disarm_all")
    consent = places_of("without_consent") if program == "foretold" else set()
    # the out-of-line copy, not those inlined into its callers
    release = silent(f"*{int(kernel.variable('race_release').address):#x}")
    returns: dict[int, gdb.Breakpoint] = {}
    door = silent("fault_in")
    door.enabled = False
    while continue_machine():
        pc = gdb.newest_frame().pc()
        if pc in begins | ends:
            door.enabled = pc in begins
        elif pc in consent:
            set_consent(frame_value("consent").string())
        elif pc == int(door.locations[0].address):
            enter(returns)
        elif pc == int(release.locations[0].address):
            let_go()
        elif pc in returns:
            leave()
        for stop in returns.values():
            stop.enabled = bool(doors)


def places_of(*functions: str) -> set[int]:
    return {int(one.address) for name in functions for one in silent(name).locations}


def continue_machine() -> bool:
    """Continues; returns False once the machine is off."""
    try:
        gdb.execute("continue", to_string=True)
        return gdb.selected_thread() is not None
    except gdb.error:
        return False


program = os.path.basename(gdb.objfiles()[-1].filename)
wanted = FORETOLD if program == "foretold" else set(reasons.all_reasons()) - FORETOLD - OUT_OF_REQUESTS
watch()
check(f"{compared} faults went as foretold", compared >= (5 if program == "foretold" else 50))
for name in sorted(wanted):
    check(f"foretold and counted: {name}", name in foretold)
finish()
