# SPDX-License-Identifier: MIT
"""
Tests every command that shows something, at a moment when there is something to see. One thread is stopped in mprotect
with mmap_lock held for writing, and another one's fault waits for it. Runs on the debug kernel and on the release
kernel, which records less.
"""

import re

import gdb

from faultline_gdb import command, kernel, stack, walk
from harness import COMMANDS, answer, ask, check, completes, finish, in_its_own_words, refuses, run_to, skip_call

RACE = "mprotect_after_vma"


def stopped_tid() -> int:
    return int(kernel.static("mm/debug/race.c", "points")[kernel.enum("race_point_id")[f"RACE_{RACE}"]]["tid"])


def tid_in(function: str) -> int:
    """Returns the tid of a thread that sleeps or runs in a function."""
    for task in walk.tasks():
        if function in stack.names(task, walk.cpu_running(task)):
            return int(task["tid"])
    raise gdb.GdbError(f"no thread sleeps or runs in {function}")


def wrong_arguments() -> None:
    refuses("vmas 77", "there is no process 77. There are: 1")
    refuses("vmas x", "“x” is not the number of a process", "^Usage: vmas ")
    refuses("vmas 1 2", "“2” is one argument too many")
    refuses("vmas 1 2 3", "“2 3” is 2 arguments too many")
    refuses("ptwalk", "which address", "^Usage: ptwalk")
    refuses("ptwalk no_such_thing", "no_such_thing")
    refuses("page pfn", "followed by one number")
    refuses("page pfn 0xfffffff", "is beyond them")
    refuses("why", "is not in the middle of a fault. Which address")
    refuses("why tid 99", "there is no thread 99")
    refuses("why tid -1", "there is no thread -1")
    refuses("why 0 q", "“q” is neither r, w or x nor the number of a process")
    refuses("swap 9", "no area 9. There are: 0")
    refuses("reasons nothing*", "reasons all shows them")
    refuses("page pfn -5", "“-5” is not the number of a page frame")
    refuses("ptwalk \"text\"", "it lies nowhere in memory")
    refuses("break-fault spec vma", "“vma” is a second word for the same thing")
    refuses("break-fault 1 2", "“2” is a second PID")
    refuses("tour nowhere", "there is no tour “nowhere”")
    refuses("race arm spec_after_walk -1", "“-1” is not a number")
    refuses("race arm spec_after_walk 99999999999", "too large for TID")
    refuses("race fly", "none of list, arm, release, disarm")
    refuses("race arm nowhere", "race list shows them")
    refuses(f"race arm {RACE}", "is stopped here")


NONSENSE = ("nonsense", "-1", "0x", "99999999999999999999999", "1 2 3 4 5 6", "no_such_thing 1", "'", '"', "(", "1 +",
            "$nothing", "pfn", "pfn x", "tid", "tid x", "0 w nobody", "0xdead000000000000 x 99", "arm",
            "arm spec_after_walk x", "release x", "[", "--", "\\", "0 kernel x", "é", "*(int*)0", '"text"', "kernel",
            "all all")
TAKES_ANY_ADDRESS = ("ptwalk", "page", "why", "break-fault", "faults")  # and so they accept some of the above


def nonsense() -> None:
    """
    Checks that each command answers nonsense with a message of its own: no Python error, no other command's message.
    """
    for name in COMMANDS:
        strange = [one for words in NONSENSE if (one := in_its_own_words(f"{name} {words}"))]
        check(f"{name}: answers nonsense in its own words", not strange, "\n".join(strange))
        accepted = [words for words in NONSENSE if answer(f"{name} {words}")[1] is None]
        check(f"{name}: refuses nonsense", name in TAKES_ANY_ADDRESS or not accepted, "\n".join(accepted))


# for ptwalk, because it takes any address
NOTHING_TO_OFFER = {"cpus", "tasks", "locks", "rcu", "faultline", "faultline-attach", "ptwalk"}


def completion() -> None:
    """Checks completion. GDB strips a trailing space here, so the first letter of an argument must be typed."""
    for one in command.ALL:
        choices = one.choices([]) if one.name in COMMANDS else []
        check(f"complete {one.name}: knows what may follow", bool(choices) != (one.name in NOTHING_TO_OFFER),
              str(choices))
        for choice in choices:
            completes(f"{one.name} {choice[0]}", f"{one.name} {choice}")
    completes("page p", "page pfn")
    completes("page 0 1", "page 0 1")
    completes("tlb a", "tlb all")
    completes("why t", "why tid")
    completes("why 0 w", "why 0 w")
    completes("why 0 w k", "why 0 w kernel")
    completes("tour sw", "tour swap-in")
    completes("break-fault mmap ret", "break-fault mmap retry")
    completes("race arm spec_after_walk 1", "race arm spec_after_walk 1")
    completes("vmas a", "vmas all")
    completes("vmas 1", "vmas 1")
    completes("race arm spec_after_w", "race arm spec_after_walk")
    completes("race rel", "race release")
    completes("reasons vma_lock_m", "reasons vma_lock_miss")
    completes("swap 0", "swap 0")
    completes("ptwalk 0 1", "ptwalk 0 1")


def memory() -> None:
    address = int(gdb.parse_and_eval("(unsigned long)&tests"))
    said = ask(f"ptwalk {address:#x} 1", r"^  PGD\[0\] at 0xffff", r"^  PTE\[\d+\] at .* = 0x", "page frame 0x",
               "the lock of its entries is free")
    frame = re.findall(r"page frame (0x[0-9a-f]+)", said)[0]
    ask(f"page {address:#x} 1", rf"^frame {frame} ", "flags: .*(cache|anon)",
        f"mapped by pid 1 at {address & -4096:#x}")
    ask(f"page pfn {frame}", rf"^frame {frame} ")
    ask("ptwalk 0 1", "the walk ends here")
    ask(f"why {address:#x} w 1", r"^policy \w+: ", r"^  \w+ (answers|gives up)",
        r"^      .*mm/fault/\w+\.c:\d+ in \w+\(\)$")
    table = re.findall(r"the table in frame (0x[0-9a-f]+); the lock of its entries.*\n  PTE", said)[0]
    ask(f"page pfn {table}", "a page table of pid 1")


def the_lock(writer: int, waiter: int) -> None:
    ask("vmas 1", r"mmap_lock held for writing, others wait$", "being changed")
    ask("locks", r"^mmap_lock of pid 1\n"
        rf"  held for writing by reasons \(tid {writer}\), on CPU 1: .*mm_mprotect(, interrupted: .*)?\n"
        rf"  wanted for reading by reasons \(tid {waiter}\), asleep: .*mmap_enter",
        rf"tid {writer}\) waits for the release of race point {RACE}", never=["CYCLE"])
    ask(f"why tid {waiter}", r"asleep, has faulted: write 0x", r"^mmap is at work: .*mmap_enter",
        rf"^  It waits for mmap_lock of pid 1 for reading:\n    held for writing by reasons \(tid {writer}\)")
    ask("tasks", rf"tid {waiter}\) +killable +policy spec +.*mmap_enter",
        rf"tid {writer}\) +on CPU 1 +policy spec .*race_hit")


def a_circle_of_one(writer: int, waiter: int) -> None:
    """Plants a cycle of one in memory: the thread that waits for mmap_lock is also its owner."""
    tasks = {int(task["tid"]): task for task in walk.tasks()}
    owner = int(tasks[writer]["mm"]["mmap_lock"]["owner"].address)
    gdb.selected_inferior().write_memory(owner, int(tasks[waiter]).to_bytes(8, "little"))
    ask("locks", rf"^CYCLE: reasons \(tid {waiter}\) waits for mmap_lock of pid 1",
        "^This release kernel does not record every lock")
    gdb.selected_inferior().write_memory(owner, int(tasks[writer]).to_bytes(8, "little"))


def a_reader_that_is_not_noted(writer: int) -> None:
    """Plants a reader in memory: another thread holds mmap_lock for reading."""
    mm = next(task for task in walk.tasks() if int(task["tid"]) == writer)["mm"]
    count, owner = mm["mmap_lock"]["count"], mm["mmap_lock"]["owner"]
    before = [(int(field.address), kernel.read_bytes(int(field.address), 8)) for field in (count, owner)]
    reader = (kernel.define("kernel/sync/rwsem.h", "RWSEM_READER")
              + kernel.define("kernel/sync/rwsem.h", "RWSEM_WAITERS"))
    gdb.selected_inferior().write_memory(int(count.address), reader.to_bytes(8, "little"))
    gdb.selected_inferior().write_memory(int(owner.address), bytes(8))
    ask("locks", r"^mmap_lock of pid 1\n  held for reading by 1 more that is not recorded\n  wanted")
    for address, value in before:
        gdb.selected_inferior().write_memory(address, value)


def a_circle(writer: int, waiter: int) -> None:
    """Plants a cycle in memory: the waiter for mmap_lock holds what the lock's holder waits for."""
    tasks = {int(task["tid"]): task for task in walk.tasks()}
    held = tasks[waiter]["held"]
    before = kernel.read_bytes(int(held.address), held.type.sizeof)
    other = tasks[writer]["held"]
    other_before = kernel.read_bytes(int(other.address), other.type.sizeof)
    gdb.selected_inferior().write_memory(int(held.address), other_before)
    gdb.selected_inferior().write_memory(int(other.address), before)
    ask("locks", rf"^CYCLE: reasons \(tid {waiter}\) waits for mmap_lock of pid 1")
    gdb.selected_inferior().write_memory(int(held.address), before)
    gdb.selected_inferior().write_memory(int(other.address), other_before)
    check("the circle is gone again", "CYCLE" not in gdb.execute("locks", to_string=True))


def machine(writer: int) -> None:
    ask("cpus", rf"^CPU 1 +reasons \(tid {writer}\) +kernel +\S+ .*interrupts (on|off)")  # a tick may be handled there
    ask("tlb 1", r"^pid 1: CPUs that may hold translations: .*; 1 change not yet flushed", "No shootdown is under way")
    ask("tlb all", r"^pid 1: ")
    ask("rcu", r"^generation \d+", r"^CPU 2 .*(idle|noted)")
    ask("swap", r"^area 0 on ram0 \(synchronous\): 255 slots, 0 in use")
    ask("reasons", r"^[1-9]\d* +spf_abort_odd_count +the count was odd")
    ask("reasons all", r"^0 +spf_abort_no_memory ")
    ask("race", rf"^{RACE} +reasons \(tid {writer}\) is stopped here")
    ask("race list", r"^spec_after_walk +idle +speculation has walked")


run_to("race_release")
skip_call()  # so the writer stays there for as long as the test needs
writer = stopped_tid()
waiter = tid_in("fault_in")
the_lock(writer, waiter)
if kernel.is_debug():
    a_circle(writer, waiter)
else:
    refuses("break-fault spec gave_up", "run without --release")
    refuses("tour cow", "run without --release")
    a_circle_of_one(writer, waiter)
    a_reader_that_is_not_noted(writer)
the_lock(writer, waiter)
machine(writer)
memory()
wrong_arguments()
nonsense()
completion()
ask(f"race release {RACE}", "released")
finish()
