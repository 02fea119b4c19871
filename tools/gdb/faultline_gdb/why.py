# SPDX-License-Identifier: MIT
"""
`why`: predicts what each strategy would do with an access, or with a fault that is under way, and in which line it
would decide so.
"""

import re

import gdb

from . import foretell, kernel, locks, pages, stack, tasks, vmas, walk
from .command import Command, pids, say
from .foretell import Attempt

WORDS = {"r": "read", "w": "write", "x": "execute"}
ACCESS = {"ACCESS_READ": "r", "ACCESS_WRITE": "w", "ACCESS_EXEC": "x"}
OF_WORD = {word: name for name, word in ACCESS.items()}


def attempt(strategy: str, mm: gdb.Value, address: int, access: str, from_user: bool) -> Attempt:
    """Predicts the first attempt of a strategy at an access: by the program, or by the kernel on its behalf."""
    flag = kernel.enum("fault_flag")["FAULT_USER" if from_user else "FAULT_UACCESS"]
    return foretell.fresh(strategy, mm, address, OF_WORD[access], flag)


def predict(mm: gdb.Value, address: int, access: str, from_user: bool = True) -> list[Attempt]:
    """Returns the attempts that a fault would make now, up to the one that ends it or has to wait."""
    attempts = []
    for name in foretell.order_of(mm):
        attempts.append(attempt(name, mm, address, access, from_user))
        if not attempts[-1].goes_on():
            break
    return attempts


# --- A fault that is under way ---------------------------------------------------------------------------------------

RACE = ("race_hit", "race_stop_here")


class InFlight:
    """The current fault of a thread: of one that runs, also the frame that it would go on from, and its race point."""

    def __init__(self, task: gdb.Value) -> None:
        self.task, self.record, self.cpu = task, task["fault"], walk.cpu_running(task)
        self.point: str | None = None
        self.mm, self.address = self.record["mm"], int(self.record["address"])
        self.access = ACCESS[kernel.enum_name("fault_access", self.record["access"])]
        self.from_user = bool(int(self.record["flags"]) & kernel.enum("fault_flag")["FAULT_USER"])
        if self.cpu is not None:
            with stack.on_cpu(self.cpu):
                self.frame()

    def frame(self) -> gdb.Frame | None:
        """Returns the innermost frame beside those of a race point; None in an interrupt. => its CPU selected."""
        found = list(stack.frames())
        names = [frame.name() for frame in found]
        if "fault_in" not in names and "fault_swap_in" not in names or None in names[:names.index("fault_in")]:
            return None
        below = 0
        for number, frame in enumerate(found):
            if frame.name() in RACE:
                below = number + 1
                if frame.name() == "race_hit":
                    self.point = kernel.enum_name("race_point_id", frame.read_var("id"), "RACE_")
        return found[below]

    def strategy(self) -> str:
        return kernel.text_of(self.record["strategy"]["name"])

    def rest(self) -> Attempt | None:
        """Predicts the end of the attempt; None if the thread sleeps, or handles an interrupt."""
        if self.cpu is None:
            return None
        with stack.on_cpu(self.cpu):
            frame = self.frame()
            return foretell.rest(self.task, self.cpu, frame) if frame is not None else None

    def has_compared(self) -> bool:
        """Returns whether the CPU has locked the entry, and found it unchanged."""
        lock = self.record["ptl"]
        return self.point in COMMITS and bool(int(lock)) and int(lock["owner"]) - 1 == self.cpu


COMMITS = ("commit_before_set", "cow_before_flush", "shootdown_sent")


def in_flight(task: gdb.Value) -> InFlight | None:
    """Returns the current fault of a thread, or None."""
    return InFlight(task) if int(task["fault"]) else None


# --- Sentences -------------------------------------------------------------------------------------------------------

LOCKED = ("It has locked the entry, and found it unchanged: no other thread can change it. It writes the entry, which "
          "resolves the fault.")
VERBS = {"skip": "is not tried", "gave up": "gives up", "retry": "drops the lock, waits and retries",
         "answered": "answers", "completed": "completes", "would block": "would have to wait", "waits": "waits",
         "panic": "panics"}


def show(one: Attempt, remark: str = "") -> None:
    say(f"  {one.strategy} {VERBS[one.how]}{remark}: {one.sentence}")
    for note in one.notes:
        say(f"      {note}")
    say(f"      {one.reason + ', ' if one.reason else ''}{one.place}")


def permits(pte: int, access: str) -> bool:
    """Mirrors pte_permits(): returns whether the entry permits the access, so that the CPU does not fault."""
    if not pte & walk.pte_bit("PRESENT"):
        return False
    return (bool(pte & walk.pte_bit("WRITE")) if access == "w" else
            not pte & walk.pte_bit("NX") if access == "x" else True)


class Why(Command):
    """
    Say what each strategy would do now with an access, or with the fault that is under way, and in which line.
    Usage: why [ADDRESS [r|w|x] [PID|kernel]] | why tid N

    why p w         what a write to p by the program on the selected CPU would meet
    why 0x1000 r 7  the same for a read by process 7
    why p w kernel  the same when the kernel does it on the program's behalf, as in read(fd, p, n)
    why             how the fault of the selected CPU would end, and what it waits for
    why tid N       the same for any thread, asleep or not

    It runs the kernel's own code on a copy of the current memory. If another CPU changes that first, the fault may end
    differently.
    """

    name = "why"

    def choices(self, words: list[str]) -> list[str]:
        if words[:1] == ["tid"]:
            return [str(int(task["tid"])) for task in walk.tasks() if int(task["fault"])] if len(words) == 1 else []
        return [["tid"], ["r", "w", "x"], [*pids(), "kernel"]][len(words)] if len(words) < 3 else []

    def run(self, words: list[str]) -> None:
        if not words:
            if not self.explain_door():
                self.explain_flight(walk.selected_task())
        elif words[0] == "tid":
            self.explain_flight(self.thread(words[1:]))
        else:
            self.explain_access(words)

    def explain_door(self) -> bool:
        """Handles a breakpoint on fault_in(): task->fault is not set yet, but the arguments describe the fault."""
        frame, task = gdb.newest_frame(), walk.selected_task()
        if frame.name() != "fault_in" or task is None or int(task["fault"]):
            return False
        mm = frame.read_var("mm")
        access = ACCESS[kernel.enum_name("fault_access", frame.read_var("access"))]
        from_user = bool(int(frame.read_var("flags")) & kernel.enum("fault_flag")["FAULT_USER"])
        self.explain(mm, task["process"], int(frame.read_var("addr")), access, from_user)
        return True

    def thread(self, words: list[str]) -> gdb.Value:
        if len(words) != 1:
            self.wrong("why: tid is followed by the number of a thread; tasks lists them.")
        tid = self.address(words[0], "the number of a thread")
        for task in walk.tasks():
            if int(task["tid"]) == tid:
                return task
        raise gdb.GdbError(f"why: there is no thread {words[0]}; tasks lists them.")

    def explain_access(self, words: list[str]) -> None:
        rest = words[1:]
        access = rest.pop(0) if rest and rest[0] in WORDS else "r"
        self.at_most(rest, 1)
        if rest and not re.fullmatch(r"\d+|kernel", rest[0]):
            self.wrong(f"why: “{rest[0]}” is neither r, w or x nor the number of a process nor kernel.")
        from_user = rest != ["kernel"]
        mm, process = self.mm(rest[0] if rest and from_user else None)
        self.explain(mm, process, self.address(words[0]), access, from_user)

    def explain(self, mm: gdb.Value, process: gdb.Value, address: int, access: str, from_user: bool) -> None:
        say(f"pid {int(process['pid'])} would {WORDS[access]} {address:#x}"
            + ("" if from_user else ", the kernel on its behalf") + ".")
        if address >= kernel.define("mm/table/pgtable.h", "USER_END"):
            self.beyond(address, from_user)
            return
        self.context(mm, address)
        entry = pages.entry_of(mm, address) or 0
        if permits(entry, access):
            say(f"No fault: the page tables permit it ({walk.describe_pte(entry)}). If a CPU faulted all the same:")
        self.attempts(mm, address, access, from_user)

    def beyond(self, address: int, from_user: bool) -> None:
        say("No program may have this address, so no strategy is asked.")
        if from_user:
            say(f"  {self.refusal(address)}")
        else:
            say("  EFAULT, without an access")

    def refusal(self, address: int) -> str:
        if address + (1 << 47) & (1 << 64) - 1 < 1 << 48:
            return "SIGSEGV: page_fault_user() in kernel/x86/trap.c"
        return "SIGSEGV: it is not canonical, so the CPU raises #GP, and looks at no page table: user_exception() in " \
            "kernel/x86/trap.c"

    def attempts(self, mm: gdb.Value, address: int, access: str, from_user: bool) -> None:
        order = foretell.order_of(mm)
        asked = [one.strategy for one in predict(mm, address, access, from_user)]
        say(f"policy {tasks.policy_name(mm)}: {', then '.join(order)}")
        for name in [*order, *(name for name in foretell.strategies() if name not in order)]:
            remark = "" if name in asked else " (if it were asked)"
            show(attempt(name, mm, address, access, from_user), remark)

    def context(self, mm: gdb.Value, address: int) -> None:
        found = walk.find_vma(mm, address)
        if found is None:
            above = walk.find_vma_from(mm, address)
            say("No VMA covers it" + (f"; the next one above begins at {above.start:#x}." if above else "."))
            return
        say("It lies in " + ", ".join(vmas.describe(found)) + ".")

    def explain_flight(self, task: gdb.Value | None) -> None:
        flight = in_flight(task) if task is not None else None
        if flight is None:
            raise gdb.GdbError(f"why: {walk.task_name(task) if task is not None else 'this CPU'} is not in the "
                               "middle of a fault. Which address? why ADDRESS [r|w|x]")
        cpu = flight.cpu
        say(f"{walk.task_name(flight.task)}, {'on CPU ' + str(cpu) if cpu is not None else 'asleep'}, has faulted: "
            f"{WORDS[flight.access]} {flight.address:#x}.")
        self.context(flight.mm, flight.address)
        if flight.point == "fault_enter":
            say("It is stopped at race point fault_enter: nothing has been read.")
            self.attempts(flight.mm, flight.address, flight.access, flight.from_user)
            return
        say(f"{flight.strategy()} is at work" + (f", at race point {flight.point}" if flight.point else "")
            + f": {stack.summary(flight.task, cpu)}")
        locks.show_waits_of(flight.task)
        self.rest(flight)

    def rest(self, flight: InFlight) -> None:
        one = flight.rest()
        if one is None:
            return
        if flight.has_compared():
            say(f"  {LOCKED}")
        elif one.how in ("answered", "completed"):
            say("  Nothing has changed under it. If nothing does, it continues as this would:")
        show(one)
