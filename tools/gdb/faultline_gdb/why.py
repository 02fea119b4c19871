# SPDX-License-Identifier: MIT
"""
`why`: predicts what each strategy would do with an access, or with a fault that is under way, and in which line it
would decide so.
"""

import re
import typing

import gdb

from . import kernel, locks, model, model_kinds, pages, places, reasons, stack, tasks, vmas, walk
from .command import Command, pids, say
from .model_locked import MmapLock, PerVma
from .model_spec import Speculative, UnderWay

# Any: callers that name one of them use operations that only this one has
STRATEGIES: dict[str, typing.Any] = {"spec": Speculative(), "vma": PerVma(), "mmap": MmapLock()}
ACCESS = {"ACCESS_READ": model.READ, "ACCESS_WRITE": model.WRITE, "ACCESS_EXEC": model.EXEC}


class Attempt:
    """The result of one strategy."""

    def __init__(self, strategy: str, end: model.End, notes: list[str]) -> None:
        self.strategy, self.end, self.notes = strategy, end, notes

    def goes_on(self) -> bool:
        """Returns whether the next strategy of the policy would be tried."""
        return self.end.how in ("skip", "gave up")


def attempt(name: str, mm: gdb.Value, address: int, access: str, from_user: bool) -> Attempt:
    return play(name, model.Fault(mm, address, access, from_user))


def play(name: str, fault: model.Fault) -> Attempt:
    strategy = STRATEGIES[name]
    try:
        strategy.skip(fault)
        strategy.enter(fault)
        model_kinds.handle(strategy, fault)
    except model.End as end:
        return Attempt(name, end, fault.notes)
    raise AssertionError("an attempt ends in exactly one way")


def policy_order(mm: gdb.Value) -> list[str]:
    """Returns the names of the strategies of the address space's policy, in order."""
    policy = int(mm["policy"]) or int(kernel.variable("fault_policy_default"))
    order = gdb.parse_and_eval("policy_strategies::order")[policy]
    return [kernel.text_of(one["name"]) for one in kernel.array_of(order) if int(one)]


def predict(mm: gdb.Value, address: int, access: str, from_user: bool = True) -> list[Attempt]:
    """Returns the attempts that a fault would make now, up to the one that ends it or has to wait."""
    attempts = []
    for name in policy_order(mm):
        attempts.append(attempt(name, mm, address, access, from_user))
        if not attempts[-1].goes_on():
            break
    return attempts


# --- A fault that is under way ---------------------------------------------------------------------------------------

# Functions where a user is likely to stop: the page tables have been walked, nothing else is done.
KINDS = ("fault_anon", "fault_mapping", "fault_swap", "fault_write_protect")


class InFlight:
    """The current fault of a thread."""

    def __init__(self, record: gdb.Value, cpu: int | None, point: str | None, found: gdb.Value | None) -> None:
        self.record, self.cpu, self.point, self.found = record, cpu, point, found
        self.at_kind = False
        self.mm, self.address = record["mm"], int(record["address"])
        self.access = ACCESS[kernel.enum_name("fault_access", record["access"])]
        self.from_user = self.has_flag("FAULT_USER")

    def has_flag(self, name: str) -> bool:
        return bool(int(self.record["flags"]) & kernel.enum("fault_flag")[name])

    def strategy(self) -> str:
        return kernel.text_of(self.record["strategy"]["name"])

    def fault(self) -> model.Fault:
        """Returns the model's fault, with the locks and pages that the thread has so far."""
        mine = model.Mine(self.record, self.point, self.cpu)
        is_own = self.from_user or self.has_flag("FAULT_UACCESS")
        return model.Fault(self.mm, self.address, self.access, self.from_user, self.has_flag("FAULT_TRIED"), mine,
                           is_own)


def in_flight(task: gdb.Value) -> InFlight | None:
    """Returns the current fault of a thread, or None: from task->fault and the thread's stack."""
    record = task["fault"]
    if not int(record):
        return None
    point = found = None
    cpu = walk.cpu_running(task)
    if cpu is None:
        return InFlight(record, None, None, None)
    with stack.on_cpu(cpu):
        at_kind = gdb.newest_frame().name() in KINDS
        for frame in stack.frames():
            if frame.name() == "race_hit":
                point = kernel.enum_name("race_point_id", frame.read_var("id"), "RACE_")
            elif frame.name() in ("find_and_sample", "vma_find_and_lock", "spec_enter", "vma_enter"):
                found = found or local_vma(frame)
    flight = InFlight(record, cpu, point, found)
    flight.at_kind = at_kind
    return flight


def local_vma(frame: gdb.Frame) -> gdb.Value | None:
    """Returns the VMA that the look-up has found, if the compiler kept the variable."""
    try:
        value = frame.read_var("vma")
        value = value.dereference() if value.type.target().code == gdb.TYPE_CODE_PTR else value
        return value if int(value) else None
    except (ValueError, gdb.error):
        return None


def rest_of(flight: InFlight) -> Attempt | None:
    """Returns how the attempt under way would end now; None if no known state decides it."""
    fault = flight.fault()
    try:
        if flight.strategy() == "spec":
            UnderWay(flight.record, flight.point, flight.found).check(STRATEGIES["spec"], fault)
        elif flight.point in ("vma_after_find", "vma_between_looks") and flight.found is not None:
            check_found_vma(fault, flight.found)
        elif flight.point == "page_wait" and not fault.mine.holds:
            STRATEGIES[flight.strategy()].wait_page(fault)
    except model.End as end:
        return Attempt(flight.strategy(), end, fault.notes)
    return None


def check_found_vma(fault: model.Fault, vma: gdb.Value) -> None:
    """Handles an attempt that has found a VMA, and tries to lock it next."""
    if not int(vma["vm_refcnt"]):
        fault.note("the VMA is detached: looks again (vma_lock_detached)")
        STRATEGIES["vma"].enter(fault)
    else:
        STRATEGIES["vma"].lock(fault, vma)


# --- Sentences -------------------------------------------------------------------------------------------------------

# Points after which an attempt can end in one way only.
LOCKED = ("It has locked the entry, and found it unchanged: no other thread can change it. It writes the entry, which "
          "resolves the fault.")
CERTAIN = {"commit_before_set": LOCKED, "cow_before_flush": LOCKED, "shootdown_sent": LOCKED,
           "fault_throttled": "The entry is written, and nothing held. It waits for the flusher, and completes."}
VERBS = {"skip": "is not tried", "gave up": "gives up", "retry": "drops the lock, waits and retries",
         "answered": "answers", "completed": "completes"}


def show(one: Attempt, remark: str = "") -> None:
    sentence = reasons.all_reasons()[one.end.reason].sentence if one.end.reason else one.end.sentence
    say(f"  {one.strategy} {VERBS[one.end.how]}{remark}: {sentence}")
    for note in one.notes:
        say(f"      {note}")
    say(f"      {one.end.reason + ', ' if one.end.reason else ''}{one.end.place}")


class Why(Command):
    """
    Say what each strategy would do now with an access, or with the fault that is under way, and in which line.
    Usage: why [ADDRESS [r|w|x] [PID|kernel]] | why tid N

    why p w         what a write to p by the program on the selected CPU would meet
    why 0x1000 r 7  the same for a read by process 7
    why p w kernel  the same when the kernel does it on the program's behalf, as in read(fd, p, n)
    why             how the fault of the selected CPU would end, and what it waits for
    why tid N       the same for any thread, asleep or not

    It simulates the strategies on the current memory. If another CPU changes it first, the fault may end differently.
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
        access = rest.pop(0) if rest and rest[0] in model.WORDS else model.READ
        self.at_most(rest, 1)
        if rest and not re.fullmatch(r"\d+|kernel", rest[0]):
            self.wrong(f"why: “{rest[0]}” is neither r, w or x nor the number of a process nor kernel.")
        from_user = rest != ["kernel"]
        mm, process = self.mm(rest[0] if rest and from_user else None)
        self.explain(mm, process, self.address(words[0]), access, from_user)

    def explain(self, mm: gdb.Value, process: gdb.Value, address: int, access: str, from_user: bool) -> None:
        say(f"pid {int(process['pid'])} would {model.WORDS[access]} {address:#x}"
            + ("" if from_user else ", the kernel on its behalf") + ".")
        if address >= kernel.define("mm/table/pgtable.h", "USER_END"):
            self.beyond(address, from_user)
            return
        self.context(mm, address)
        entry = pages.entry_of(mm, address) or 0
        if model_kinds.permits(entry, access):
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
            return f"SIGSEGV\n      {places.Place('kernel/x86/trap.c', 'page_fault_user', 'USER_END')}"
        return "SIGSEGV: it is not canonical, so the CPU raises #GP, and looks at no page table\n" \
            f"      {places.Place('kernel/x86/trap.c', 'user_exception', 'exception_signal')}"

    def attempts(self, mm: gdb.Value, address: int, access: str, from_user: bool) -> None:
        order = policy_order(mm)
        asked = [one.strategy for one in predict(mm, address, access, from_user)]
        say(f"policy {tasks.policy_name(mm)}: {', then '.join(order)}")
        for name in [*order, *(name for name in STRATEGIES if name not in order)]:
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
        cpu = walk.cpu_running(task)
        say(f"{walk.task_name(task)}, {'on CPU ' + str(cpu) if cpu is not None else 'asleep'}, has faulted: "
            f"{model.WORDS[flight.access]} {flight.address:#x}.")
        self.context(flight.mm, flight.address)
        if flight.point == "fault_enter":
            say("It is stopped at race point fault_enter: nothing has been read.")
            self.attempts(flight.mm, flight.address, flight.access, flight.from_user)
            return
        say(f"{flight.strategy()} is at work" + (f", at race point {flight.point}" if flight.point else "")
            + f": {stack.summary(task, cpu)}")
        locks.show_waits_of(task)
        if flight.point or flight.at_kind:
            self.rest(flight)

    def rest(self, flight: InFlight) -> None:
        if flight.point in CERTAIN:
            say(f"  {CERTAIN[flight.point]}")
            return
        one = rest_of(flight)
        if one is None:
            say("  Nothing has changed under it. If nothing does, it continues as this would:")
            one = play(flight.strategy(), flight.fault())
        show(one)
