# SPDX-License-Identifier: MIT
"""
Tests `why` in the middle of a fault against how the fault ends. The accesses of user/tests/faults/situations.c are
held at every race point that they pass. A fault does not wait for what it holds itself, and every prediction must
come true.
"""

import re

import gdb

from faultline_gdb import events, kernel, race, walk, why
from harness import Told, came_as_foretold, check, finish, frame_value, run_to, silent, tid

POINTS = [name for name in race.points()
          if re.match("spec_|vma_|mmap_|anon_page|mapping_|around_|page_wait|mkwrite_|fault_|swap_|cow_|commit_|"
                      "shootdown", name)]
held_at: set[str] = set()


def set_all(state: str) -> None:
    """Sets all points of the fault path at once, for this thread: single commands would take long."""
    for name in POINTS:
        point = race.state_of(name)
        race.write(point["tid"], tid())
        race.write(point["skip"], 0)
        race.write(point["state"], kernel.enum("point_state")[state])
    race.write(kernel.variable("race_armed"), int(state == race.ARMED))


def race_point() -> str:
    return list(race.points())[int(frame_value("id"))]


def foretell() -> tuple[Told, str] | None:
    """
    Returns the prediction for the current attempt, (strategy, end, reason or answer), with `why`'s output; None if it
    has not begun.
    """
    flight = why.in_flight(walk.selected_task())
    said = gdb.execute("why", to_string=True)
    if flight is None or flight.point is None or flight.point == "fault_enter":
        return None
    held_at.add(flight.point)
    one = flight.rest()
    assert one is not None
    if flight.has_compared():
        check(f"at {flight.point}", why.LOCKED in said, said)
        return (flight.strategy(), "resolved", "done"), said
    words = one.reason or one.answer.removeprefix("FAULT_").lower()
    check(f"at {flight.point}: {words}", one.reason is None or one.reason in said, said)
    return (one.strategy, one.how, words), said


class Followed:
    """An access of a thread, followed from race point to race point."""

    def __init__(self) -> None:
        self.tid, self.what = tid(), frame_value("what").string()
        self.waiting: list[tuple[Told, str]] = []
        set_all(race.ARMED)

    def stands(self) -> None:
        """Handles a stop in race_stop_here(), just before the thread spins: asks, and releases it."""
        told = foretell() if why.in_flight(walk.selected_task()) is not None else None
        if told:
            self.waiting.append(told)
        gdb.execute(f"race release {race_point()}", to_string=True)

    def attempt(self, fault: gdb.Value) -> None:
        if tid() != self.tid:
            return
        came = events.attempt_words(fault)
        for told, said in self.waiting:
            check(f"{self.what}: {' '.join(told)}", came_as_foretold(told, came), f"{said}came: {came}")
        self.waiting = []


def follow() -> None:
    followed = None
    for where in ("about_to", "has_done", "event_attempt", "race_stop_here"):
        silent(where)
    while True:
        gdb.execute("continue", to_string=True)
        if gdb.selected_thread() is None:
            return
        name = gdb.newest_frame().name()
        if name == "about_to":
            followed = Followed()
        elif name in ("race_stop_here", "race_hit") and followed:  # one is inlined into the other
            followed.stands()
        elif name == "event_attempt" and followed:
            followed.attempt(frame_value("f"))
        elif name == "has_done" and followed:
            followed = None
            set_all(race.IDLE)


run_to("main")
try:
    follow()
except gdb.error:
    pass  # the machine is off
print(sorted(held_at))
check(f"held at {len(held_at)} points", len(held_at) >= 15, str(held_at))
finish()
