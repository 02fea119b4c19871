# SPDX-License-Identifier: MIT
"""`race`: shows the race points and the threads stopped there, and arms and releases them from GDB."""

import gdb

from . import kernel, walk
from .command import Command, say, table

IDLE, ARMED, STOPPED = "POINT_IDLE", "POINT_ARMED", "POINT_STOPPED"


def points() -> dict[str, str]:
    return {row[0]: row[1] for row in kernel.rows("mm/debug/race.h", "RACE_POINTS")}


def state_of(name: str) -> gdb.Value:
    """Returns the kernel's record of a point."""
    return kernel.static("mm/debug/race.c", "points")[kernel.enum("race_point_id")[f"RACE_{name}"]]


def is_in(point: gdb.Value, state: str) -> bool:
    return int(point["state"]) == kernel.enum("point_state")[state]


def write(field: gdb.Value, number: int) -> None:
    gdb.selected_inferior().write_memory(int(field.address), number.to_bytes(field.type.sizeof, "little"))


def set_state(point: gdb.Value, state: str) -> None:
    """
    Sets the state and mirrors update_armed(): the flag is set while any point is not idle, or a schedule is fuzzed.
    """
    write(point["state"], kernel.enum("point_state")[state])
    busy = any(not is_in(one, IDLE) for one in kernel.array_of(kernel.static("mm/debug/race.c", "points")))
    write(kernel.variable("race_armed"), int(busy or bool(kernel.variable("schedule_fuzz_on"))))


def describe(name: str) -> str:
    point = state_of(name)
    tid, skip = int(point["tid"]), int(point["skip"])
    if is_in(point, STOPPED):
        return f"{thread_name(tid)} is stopped here"
    if is_in(point, ARMED):
        return ("armed for " + (thread_name(tid) if tid else "the first thread")
                + (f", after {skip} passes" if skip else ""))
    return "idle" if is_in(point, IDLE) else "a thread is arriving"


def thread_name(tid: int) -> str:
    return next((walk.task_name(task) for task in walk.tasks() if int(task["tid"]) == tid), f"tid {tid}")


class Race(Command):
    """
    List, arm and release race points: places where one thread can be held while the others run.
    Usage: race [list|arm POINT [TID [SKIP]]|release POINT|disarm]

    race                     points that are armed, and the threads stopped there
    race list                all points, with a sentence about each
    race arm POINT TID SKIP  the next thread that arrives stops (only thread TID; the first SKIP arrivals pass)
    race release POINT       the thread stopped there continues; the point is disarmed
    race disarm              all points are released

    A thread that is stopped at a point spins on its CPU, so the others need CPUs of their own.
    """

    name = "race"

    def choices(self, words: list[str]) -> list[str]:
        if not words:
            return ["list", "arm", "release", "disarm"]
        if len(words) == 1 and words[0] in ("arm", "release"):
            return list(points())
        return [str(int(task["tid"])) for task in walk.tasks()] if len(words) == 2 and words[0] == "arm" else []

    def run(self, words: list[str]) -> None:
        verb, *rest = words or ["show"]
        actions = {"show": self.show, "list": self.show_all, "arm": self.arm, "release": self.release,
                   "disarm": self.disarm}
        if verb not in actions:
            self.wrong(f"race: “{verb}” is none of list, arm, release, disarm.")
        actions[verb](rest)

    def point(self, words: list[str]) -> gdb.Value:
        if not words:
            self.wrong("race: which point? race list shows them.")
        if words[0] not in points():
            self.wrong(f"race: there is no point “{words[0]}”; race list shows them.")
        return state_of(words[0])

    def show(self, words: list[str]) -> None:
        busy = [[name, describe(name)] for name in points() if not is_in(state_of(name), IDLE)]
        table(busy) if busy else say("No race point is armed; race list shows them all.")

    def show_all(self, words: list[str]) -> None:
        self.at_most(words, 0)
        table([[name, describe(name), sentence] for name, sentence in points().items()])

    def arm(self, words: list[str]) -> None:
        point = self.point(words)
        self.at_most(words, 3)
        tid, skip = [self.number(word, "a number") for word in words[1:]] + [0] * (3 - len(words))
        for number, word in ((tid, "TID"), (skip, "SKIP")):
            if number >= 1 << 31:
                self.wrong(f"race: {number} is too large for {word}.")
        if is_in(point, STOPPED):
            raise gdb.GdbError(f"race: {describe(words[0])}; race release {words[0]} lets it go on.")
        write(point["tid"], tid)
        write(point["skip"], skip)
        set_state(point, ARMED)
        say(f"{words[0]}: {describe(words[0])}")

    def release(self, words: list[str]) -> None:
        point = self.point(words)
        self.at_most(words, 1)
        set_state(point, IDLE)
        say(f"{words[0]}: released")

    def disarm(self, words: list[str]) -> None:
        self.at_most(words, 0)
        for name in points():
            set_state(state_of(name), IDLE)
        say("All race points are idle.")
