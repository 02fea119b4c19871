# SPDX-License-Identifier: MIT
"""
Foretells how an attempt of a strategy ends: runs it on a copy of the machine (replay.py), the kernel's own fault code
from fault_in() or from where a CPU has stopped, and reads the end from `struct fault`. The copy differs from the
machine in three ways: no other CPU runs; a lock that is waited for is free by then; and a page that is waited for has
been read.
"""

import collections.abc
import functools
import os
import re
import subprocess

import gdb

from . import kernel, memory, pages, reasons, vmas, walk
from .command import counted
from .replay import copy_for

CODE = "mm/fault/"
DISPATCHER = CODE + "fault.c"
HOW = {"END_ANSWERED": "answered", "END_COMPLETED": "completed", "END_WOULD_BLOCK": "would block",
       "END_GAVE_UP": "gave up", "END_RETRY": "retry"}
ENDLESS = {"waits": "what it waits for does not come without another thread or a disk",
           "panic": "the kernel finds a bug of its own, or damaged memory"}
COMPLETES = ("throttle", "removal")  # sleeps in which nothing is held: the attempt ends with them
OTHER_CPUS = ("race_hit", "thread_wake", "machine_tlb_shootdown")  # are of no effect in the copy
WAITS_FOR_PAGE = ("page_wait_unlocked_killable", "page_wait_writeback_killable")
FOR_READING = ("rwsem_down_read_slow", "rwsem_down_read_killable_slow")
FOR_WRITING = ("rwsem_down_write_slow", "rwsem_down_write_killable_slow")
# Functions that are worth a note when they run.
NOTES = {"pt_build": "builds the page table that is missing", "pt_install": "builds the page table that is missing",
         "anon_vma_prepare": "makes an anon_vma for the VMA",
         "fault_read_swap": "starts to read the page into the swap cache, with its neighbours"}


class Place:
    """A place of the code, by its address; the source line is looked up when it is asked for."""

    def __init__(self, pc: int) -> None:
        self.pc = pc

    def __str__(self) -> str:
        function, path, number = place_of(self.pc)
        return f"{path}:{number} in {function}()"

    def line(self) -> int:
        return place_of(self.pc)[2]

    def function(self) -> str:
        return place_of(self.pc)[0]

    def comment(self) -> str:
        """Returns the comment at the end of the line, or an empty string."""
        _, path, number = place_of(self.pc)
        found = re.search(r"/\* (.*?) \*/$", kernel.source(path).splitlines()[number - 1])
        return re.sub(r" \([A-Z]\d+\)$", "", found[1]) if found else ""


@functools.lru_cache(maxsize=None)
def place_of(pc: int) -> tuple[str, str, int]:
    """Returns the function, source file and line of an address: of headers' functions, where they are called."""
    command = ["addr2line", "-i", "-f", "-e", str(kernel.objfile().filename), hex(pc)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        raise gdb.GdbError(f"why: addr2line, which finds source lines, does not run: {error}") from error
    for function, where in zip(said[::2], said[1::2]):
        path, _, number = where.partition(" (")[0].rpartition(":")
        if path.endswith(".c") and number.isdigit():
            return function, os.path.relpath(os.path.join(kernel.ROOT, path), kernel.ROOT), int(number)
    return "?", DISPATCHER, 1


@functools.lru_cache(maxsize=None)
def file_of(pc: int) -> str:
    """Returns the source file of the function at the address, whatever is inlined there."""
    block = gdb.block_for_pc(pc)
    while block is not None and (block.function is None or block.superblock.function is not None):
        block = block.superblock
    return block.function.symtab.filename.removeprefix("./") if block is not None else ""


class Attempt:
    """How an attempt ends: `how` is skip, answered, completed, would block, gave up or retry."""

    def __init__(self, strategy: str, how: str, place: Place, answer: str, reason: str | None, sentence: str,
                 notes: list[str]) -> None:
        self.strategy, self.how, self.place, self.answer, self.reason = strategy, how, place, answer, reason
        self.sentence, self.notes = sentence, notes

    def goes_on(self) -> bool:
        """Returns whether the next strategy of the policy would be tried."""
        return self.how in ("skip", "gave up")


@functools.lru_cache(maxsize=None)
def all_reasons() -> dict[str, reasons.Reason]:
    return reasons.all_reasons()


def strategies() -> list[str]:
    """Returns the names of all strategies."""
    return [row[1] for row in kernel.rows("mm/reasons.h", "FAULT_STRATEGIES")]


def policy_of(mm: gdb.Value) -> int:
    return int(mm["policy"]) or int(kernel.variable("fault_policy_default"))


def order_of(mm: gdb.Value) -> list[str]:
    """Returns the names of the strategies of the address space's policy, in order."""
    order = gdb.parse_and_eval("policy_strategies::order")[policy_of(mm)]
    return [kernel.text_of(one["name"]) for one in kernel.array_of(order) if int(one)]


def fresh(strategy: str, mm: gdb.Value, address: int, access: str, flags: int) -> Attempt:
    """Foretells the first attempt of a strategy at a fault that begins now; `flags` as for fault_in()."""
    play = Play(walk.selected_cpu(), mm, address)
    replay = play.replay
    order = gdb.parse_and_eval("policy_strategies::order")[policy_of(mm)]
    replay.write_value(order[0], int(kernel.variable(f"strategy_{strategy}").address))
    replay.write_value(order[1], 0)
    task = walk.selected_task()
    assert task is not None
    if kernel.is_debug():  # the CPU may have stopped in the middle of something else, with locks held
        spins = kernel.static("kernel/sync/spinlock.c", "spins_held")
        replay.write_value(kernel.per_cpu(spins, replay.cpu)["depth"], 0)
        replay.write_value(task["held"]["depth"], 0)
        replay.write_value(kernel.per_cpu(kernel.static("kernel/sync/rcu.c", "rcu"), replay.cpu)["nesting"], 0)
    replay.watch(int(task["fault"].address), kernel.WORD,
                 lambda _pc, _address, data: play.follow(int.from_bytes(data, "little")))
    replay.call("fault_in", int(mm), address, kernel.enum("fault_access")[access], flags)
    return play.attempt()


def rest(task: gdb.Value, cpu: int, frame: gdb.Frame) -> Attempt:
    """Foretells the end of the attempt that a CPU has stopped in, from one of its frames."""
    record = task["fault"]
    play = Play(cpu, record["mm"], int(record["address"]))
    play.follow(int(record))
    play.replay.resume(frame)
    return play.attempt()


class Play:
    """One attempt on a copy of the machine."""

    def __init__(self, cpu: int, mm: gdb.Value, address: int) -> None:
        self.replay = copy_for(cpu)
        self.mm, self.address, self.fault = mm, address & -kernel.PAGE_SIZE, 0
        self.how = self.reason = ""
        self.decided = 0  # the place in the trace where the end was decided
        self.waited = 0
        self.notes: list[str] = []
        self._arrange()

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def field(self, name: str, size: int = 1) -> int:
        """Returns a field of the copy's `struct fault`."""
        offset = kernel.offset_of("struct fault", name)
        return int.from_bytes(self.replay.read(self.fault + offset, size), "little")

    def snapshot(self, name: str, size: int = kernel.WORD) -> int:
        """Returns a field of the VMA as the attempt has read it."""
        offset = kernel.offset_of("struct fault", "vma") + kernel.offset_of("struct vma_snapshot", name)
        return int.from_bytes(self.replay.read(self.fault + offset, size), "little")

    def follow(self, fault: int) -> None:
        """Follows what is written to this `struct fault`."""
        if not fault or self.fault:
            return
        self.fault = fault
        story = {kernel.offset_of("struct fault", name): name for name in ("end", "answer", "reason", "skipped")}

        def written(_pc: int, address: int, data: bytes) -> None:
            if len(data) == kernel.WORD:
                return  # fault_in() begins the story
            for offset, value in enumerate(data, address - fault):
                if offset in story:
                    self._story(story[offset], value)

        self.replay.watch(fault + kernel.offset_of("struct fault", "access"), kernel.WORD, written)
        self.replay.watch(fault + kernel.offset_of("struct fault", "sleep"), 1,
                          lambda _pc, _address, data: self._sleeps(data[0]))

    def _story(self, name: str, value: int) -> None:
        here = len(self.replay.trace) - 1
        if name in ("reason", "answer"):
            self.decided = here
        elif name == "skipped" and value:
            self.how, self.decided = "skip", here
            self.reason = kernel.enum_name("fault_reason", value, "REASON_")
            self.replay.stop("skipped")
        elif name == "end" and value:
            self.how = HOW[kernel.enum_name("fault_end", value)]
            if self.how in ("gave up", "retry"):
                self.reason = kernel.enum_name("fault_reason", self.field("reason"), "REASON_")
            self.replay.stop("ended")

    def _sleeps(self, value: int) -> None:
        if kernel.enum_name("fault_sleep", value, "FAULT_SLEEP_") == "file_system":
            self.note("tells the file system of the write, with the page locked")

    # --- Where the copy differs from the machine ---

    def _arrange(self) -> None:
        at = self.replay.at
        for name in OTHER_CPUS:
            at(name, lambda: 0)
        for name in WAITS_FOR_PAGE:
            at(name, self._wait_for_page)
        at("swap_request_wait_killable", self._wait_for_request)
        for name in FOR_READING:
            at(name, lambda: self._acquire("RWSEM_READER"))
        for name in FOR_WRITING:
            at(name, lambda: self._acquire("RWSEM_WRITER"))
        at("mutex_lock", self._free_mutex)
        at("spin_lock_slow", self._spin)
        at("thread_sleep", self._sleep)
        at("panic", self._panic)
        for name, sentence in NOTES.items():
            at(name, functools.partial(self.note, sentence))

    def _wait_for_page(self) -> int:
        self._waits("page")
        page = kernel.as_pointer(self.replay.argument(), "struct page")["flags"]
        bits = kernel.enum("page_flag")
        flags = self.replay.read_value(page) & ~(1 << bits["PG_LOCKED"] | 1 << bits["PG_WRITEBACK"])
        self.replay.write_value(page, flags | 1 << bits["PG_UPTODATE"])
        return 0

    def _wait_for_request(self) -> int:
        self._waits("request for swap")
        if self.waited > 1:
            self.how = "waits"
            self.replay.stop("all requests stay in use")
        return 0

    def _waits(self, what: str) -> None:
        self.waited += 1
        if kernel.enum_name("fault_held", self.field("held", 4), "HELD_") != "NOTHING":
            self.note(f"waits for the {what}, holding its lock")

    def _acquire(self, how: str) -> int:
        """Gives a thread a lock that it would have to sleep for."""
        sem = kernel.as_pointer(self.replay.argument(), "struct rwsem")
        if int(sem) == int(self.mm["mmap_lock"].address):
            self.note(f"first waits for mmap_lock, which is {vmas.mmap_lock_state(self.mm)} (`locks` says by whom); "
                      "what it finds then may be different")
        self.replay.write_value(sem["count"], kernel.define("kernel/sync/rwsem.h", how))
        return 0

    def _free_mutex(self) -> None:
        mutex = kernel.as_pointer(self.replay.argument(), "struct mutex")
        if self.replay.read_value(mutex["owner"]):
            self.note("first waits for a mutex that another thread holds (`locks` says which)")
            self.replay.write_value(mutex["owner"], 0)

    def _spin(self) -> None:
        lock = self.replay.argument()
        owner = kernel.as_pointer(lock, "struct spinlock")
        if self.fault and lock == self.field("ptl", kernel.WORD):
            self.note(f"waits for the PTE lock, which is {pages.lock_owner(owner)}")
        self.replay.write_value(owner["owner"], 0)

    def _sleep(self) -> int:
        """Nothing can wake the thread in the copy: the attempt ends here, unless its end does not depend on it."""
        what = kernel.enum_name("fault_sleep", self.field("sleep"), "FAULT_SLEEP_")
        self.how = "completed" if what in COMPLETES else "waits"
        self.note("drops the lock and waits for the flusher" if what == "throttle" else
                  f"waits: {what.replace('_', ' ')}")
        self.replay.stop("asleep")
        return 0

    def _panic(self) -> int:
        said = kernel.text_of(kernel.as_pointer(self.replay.argument(), "char"))
        self.note(f"its message: {said}")
        self.how = "panic"
        self.replay.stop("panic")
        return 0

    # --- What has come of it ---

    def attempt(self) -> Attempt:
        answer = kernel.enum_name("fault_answer", self.field("answer"))
        name = strategy_name(self.field("tried"))
        if self.how == "skip":
            name = all_reasons()[self.reason].strategy
        self._note_looks()
        if answer == "FAULT_OUT_OF_MEMORY" and self.how == "answered":
            self.note(memory.describe(self.replay.cpu))
        if self.replay.keys_read and self.snapshot("flags") & kernel.define("mm/vma/vma.h", "VM_PKEY"):
            self.note("the thread's rights to protection keys are not looked at here: GDB cannot see them")
        place = self._place(self.decided or len(self.replay.trace) - 1)
        if self.reason:
            sentence = all_reasons()[self.reason].sentence
        elif answer == "FAULT_DONE" and self.how in ("answered", "completed"):
            sentence = Outcome(self).describe(place)
        elif self.how in ENDLESS:
            sentence = ENDLESS[self.how]
        else:
            sentence = self._refusal(answer)
        return Attempt(name, self.how, place, answer, self.reason or None, sentence, self.notes)

    def _refusal(self, answer: str) -> str:
        """Returns the answer's comment in mm/fault.h; the kernel returns EFAULT to a program, where it accesses."""
        said = answers()[answer]
        if not self.field("flags") & kernel.enum("fault_flag")["FAULT_USER"]:
            said = re.sub(r"^SIG\w+, \w+", "EFAULT", said)
        return said

    def _note_looks(self) -> None:
        """Notes the reasons for which the attempt has looked again without ending."""
        value = kernel.per_cpu(kernel.variable("counters"), self.replay.cpu)["value"]
        assert value.address is not None
        before, after = (memoryview(read(int(value.address), value.type.sizeof)).cast("Q")
                         for read in (kernel.read_bytes, self.replay.read))
        first = kernel.enum("counter")["COUNT_FIRST_REASON"]
        for name, number in kernel.enum("fault_reason").items():
            place = first + number
            name = name.removeprefix("REASON_")
            if name not in (self.reason, "NONE", "NR_FAULT_REASONS") and before[place] != after[place]:
                self.note(f"{all_reasons()[name].sentence} ({name})")

    def _place(self, end: int) -> Place:
        """Returns the last place of a strategy or a kind of fault before this one in the trace."""
        for pc in reversed(self.replay.trace[1:end + 1]):
            path = file_of(pc)
            if path.startswith(CODE) and path != DISPATCHER:
                return Place(pc)
        return Place(self.replay.trace[end])


def strategy_name(number: int) -> str:
    return kernel.text_of(gdb.parse_and_eval("fault_strategy_names")[number])


@functools.lru_cache(maxsize=None)
def answers() -> dict[str, str]:
    """Returns what mm/fault.h says of each answer."""
    return dict(re.findall(r"^\t(FAULT_\w+),\s*/\* (.*?) \*/", kernel.source("mm/fault.h"), re.MULTILINE))


class Outcome:
    """What an attempt that has answered FAULT_DONE has changed, from the entry before and after, and the page."""

    def __init__(self, play: Play) -> None:
        self.play, self.replay = play, play.replay
        self.before = pages.entry_of(play.mm, play.address) or 0
        self.place = play.field("ptep", kernel.WORD)
        self.after = int.from_bytes(self.replay.read(self.place, kernel.WORD), "little") if self.place else 0

    def describe(self, place: Place) -> str:
        """Returns a sentence; `place` is where the end was decided."""
        if self.after & ~accessed() == self.before & ~accessed():
            return self.unchanged(place)
        self.note_around()
        if walk.frame(self.after) == walk.frame(self.before) and self.before & walk.pte_bit("PRESENT"):
            return self.made_writable()
        if self.after & walk.pte_bit("SPECIAL"):
            return "the shared zero page is mapped, read-only"
        if self.before & walk.pte_bit("PRESENT"):
            return self.replaced()
        return self.swapped_in() if walk.pte_kind(self.before) == "SWAP" else self.filled()

    def unchanged(self, place: Place) -> str:
        if self.before & walk.pte_bit("PRESENT"):
            return "nothing to do: the entry permits the access by now"
        return place.comment() or "nothing is mapped: the access faults again, and finds what is there then"

    def made_writable(self) -> str:
        shared = self.play.snapshot("flags") & kernel.define("mm/vma/vma.h", "VM_SHARED")
        return ("shared: the entry becomes writable" if shared else
                "the last owner keeps its page: the entry becomes writable")

    def replaced(self) -> str:
        if self.before & walk.pte_bit("SPECIAL"):
            return "a new page, cleared, takes the zero page's place"
        page = kernel.page_of_pfn(walk.frame(self.before) >> 12)
        return ("a copy takes the page's place: "
                + ("others have it too" if kernel.page_has(page, "PG_ANON") else "it is of a mapping")
                + f" ({counted(page['refcount'], 'reference')}, mapped {counted(page['mapcount'], 'time')})")

    def swapped_in(self) -> str:
        page = kernel.page_of_pfn(walk.frame(self.after) >> 12)
        flags = self.replay.read_value(page["flags"])
        if flags >> kernel.enum("page_flag")["PG_SWAPCACHE"] & 1:
            return "the page of the swap cache is mapped"
        copied = any(kernel.function_name(pc) == "fault_replace_page" for pc in self.of_commit())
        return ("the page of the swap cache is mapped, then copied for writing" if copied else
                "the page is read past the swap cache, and mapped")

    def of_commit(self) -> collections.abc.Iterator[int]:
        return (pc for pc in set(self.replay.trace[1:]) if file_of(pc) == CODE + "fault_commit.c")

    def filled(self) -> str:
        writable = " writable" if self.after & walk.pte_bit("WRITE") else ""
        page = kernel.page_of_pfn(walk.frame(self.after) >> 12)
        if self.replay.read_value(page["flags"]) >> kernel.enum("page_flag")["PG_ANON"] & 1:
            return ("a copy of the mapping's page is mapped writable" if self.play.snapshot("ops") else
                    "a new page, cleared, is mapped writable")
        number = self.mapped_around()
        if kernel.enum_name("fault_means", self.play.field("means", 4), "MEANS_") == "CACHED":
            return (f"{number} cached pages are mapped, this one among them" if number > 1 else
                    "the cached page is mapped")
        return f"the mapping's page is mapped{writable}"

    def mapped_around(self) -> int:
        """Returns how many entries of the same page table have been filled."""
        table = self.place & -kernel.PAGE_SIZE
        new = memoryview(self.replay.read(table, kernel.PAGE_SIZE)).cast("Q")
        if self.is_new_table():
            return sum(map(bool, new))
        old = memoryview(kernel.read_bytes(table, kernel.PAGE_SIZE)).cast("Q")
        return sum(bool(after) and not before for before, after in zip(old, new))

    def is_new_table(self) -> bool:
        return list(walk.walk(self.play.mm, self.play.address))[-1].level != 1

    def note_around(self) -> None:
        cached = kernel.enum_name("fault_means", self.play.field("means", 4), "MEANS_") == "CACHED"
        others = self.mapped_around() - 1
        if others > 0 and not cached and not self.before:
            self.play.note(f"maps {counted(others, 'cached page')} around this one")


@functools.lru_cache(maxsize=None)
def accessed() -> int:
    """Returns the bits of an entry that the CPU sets, or that are set beside what an attempt is about."""
    return walk.pte_bit("ACCESSED") | walk.pte_bit("DIRTY")
