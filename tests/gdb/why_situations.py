# SPDX-License-Identifier: MIT
"""
Tests `why` against the outcome of accesses in every situation of user/tests/faults/situations.c: the attempts and
their ends, the signal or error, and the number of pages that are mapped around.
"""

import re
import signal

import gdb

from faultline_gdb import events, kernel, reasons, why
from harness import Told, came_as_foretold, check, finish, frame_value, run_to, silent, this_task, tid

WORDS = {"r": "r", "w": "w", "x": "x", "R": "r kernel", "W": "w kernel"}
EFAULT = 14
compared: list[str] = []
said: list[str] = []


class Asked:
    """The prediction for one access of a thread, and what has happened so far."""

    def __init__(self) -> None:
        address, access = int(frame_value("p")), chr(int(frame_value("access")))
        self.page, self.tid = address & -kernel.PAGE_SIZE, tid()
        self.said = gdb.execute(f"why {address:#x} {WORDS[access]}", to_string=True)
        self.name = f"{frame_value('what').string()} ({address:#x})"
        self.foretold = self.attempts(address, access)
        self.around = int(reasons.counters()["fault_around_pages"])
        self.happened: list[Told] = []
        self.mapped: int | None = None

    def attempts(self, address: int, access: str) -> list[Told] | None:
        """Returns None if `why` says that there is no fault, [] if no strategy is asked."""
        if "\nNo fault:" in self.said:
            return None
        if "no strategy is asked" in self.said:
            return []
        found = why.predict(this_task()["mm"], address, WORDS[access][0], access.islower())
        return [(one.strategy, one.how, one.reason or one.answer.removeprefix("FAULT_").lower())
                for one in found if one.how != "skip"]

    def attempt(self, fault: gdb.Value) -> None:
        if tid() == self.tid and int(fault["address"]) == self.page:
            self.happened.append(events.attempt_words(fault))
            if len(self.happened) == 1:
                self.mapped = 1 + int(reasons.counters()["fault_around_pages"]) - self.around

    def compare(self, error: int) -> None:
        check(self.name, self.went_as_foretold(), f"{self.said}foretold {self.foretold}\nhappened {self.happened}")
        self.compare_error(error)
        compared.append(self.name)
        said.append(self.said)

    def went_as_foretold(self) -> bool:
        """Compares the attempts. More of them may follow a retry, or a fault that is repeated."""
        wanted = self.foretold or []
        for told, came in zip(wanted, self.happened):
            if told != came:
                return came_as_foretold(told, came)
        return len(self.happened) >= len(wanted) and bool(wanted) >= bool(self.happened)

    def compare_error(self, error: int) -> None:
        """Compares the signal or error with the last predicted attempt; those of later attempts are not known."""
        asked = [line for line in self.said.splitlines() if "(if it were asked)" not in line]
        told = re.search(r"\b(SIGSEGV|SIGBUS|EFAULT)\b", "\n".join(asked))
        number = 0 if not told else EFAULT if told[1] == "EFAULT" else int(signal.Signals[told[1]])
        check(f"{self.name}: what comes of it", error == number, f"{self.said}happened: {error}")
        pages = re.search(r"^  \w+ answers: (\d+) cached pages are mapped", "\n".join(asked), re.MULTILINE)
        if pages:
            check(f"{self.name}: pages around", self.mapped == int(pages[1]), f"{self.said}happened: {self.mapped}")


def watch() -> None:
    asked = None
    for where in ("about_to", "has_done", "event_attempt"):
        silent(where)
    while True:
        gdb.execute("continue", to_string=True)
        if gdb.selected_thread() is None:
            return
        name = gdb.newest_frame().name()
        if name == "about_to":
            asked = Asked()
        elif name == "event_attempt" and asked:
            asked.attempt(frame_value("f"))
        elif name == "has_done" and asked:
            asked.compare(int(frame_value("error")))
            asked = None


run_to("main")
try:
    watch()
except gdb.error:
    pass  # the machine is off
check("that a writer will have to wait was foretold", any("completes" in one for one in said), "\n".join(said))
check(f"{len(compared)} accesses went as foretold", len(compared) > 120)
finish()
