# SPDX-License-Identifier: MIT
"""
Tests `why` in the middle of a fault that another thread interferes with. A fault that has a lock keeps it, whichever
thread waits for it (the waiters are planted in memory); a fault that has none gives up, wherever it has stopped.
"""

import collections.abc

import gdb

from faultline_gdb import events, kernel
from harness import ask, check, finish, frame_value, run_to, this_task


def stand_at(point: str) -> None:
    """Continues until the next thread is about to stop at the race point."""
    gdb.execute(f"race arm {point}", to_string=True)
    run_to("race_stop_here")


def planted(field: gdb.Value, bits: int, question: str, *patterns: str,
            never: collections.abc.Sequence[str] = ()) -> None:
    """Runs a question while additional bits of a field are set."""
    place, before = int(field.address), kernel.read_bytes(int(field.address), field.type.sizeof)
    value = int.from_bytes(before, "little") | bits
    gdb.selected_inferior().write_memory(place, value.to_bytes(len(before), "little"))
    ask(question, *patterns, never=never)
    gdb.selected_inferior().write_memory(place, before)


def ends(point: str, *words: str) -> None:
    gdb.execute(f"race release {point}", to_string=True)
    run_to("event_attempt")
    check(f"held at {point}: {words}", events.attempt_words(frame_value("f")) == words,
          str(events.attempt_words(frame_value("f"))))


def a_reader_with_a_writer_behind_it() -> None:
    run_to("touch")
    stand_at("mmap_locked")
    fault = this_task()["fault"]
    planted(fault["mm"]["mmap_lock"]["count"], kernel.define("kernel/sync/rwsem.h", "RWSEM_WAITERS"), "why",
            "^mmap is at work", "mmap answers: a new page", never=["first waits"])
    ends("mmap_locked", "mmap", "answered", "done")
    run_to("touch")
    stand_at("vma_locked")
    planted(this_task()["fault"]["locked_vma"]["vm_refcnt"], kernel.define("mm/vma/vma.h", "VMA_WRITER_BAR"), "why",
            "a writer waits for them", "^vma is at work", "vma answers: a new page", never=["gives up"])
    ends("vma_locked", "vma", "answered", "done")


def at_a_breakpoint() -> None:
    """
    Stops where a kind of fault begins, without a race point: the page tables are walked, and a VMA lock may be held.
    """
    run_to("touch")
    run_to("fault_anon")
    ask("why", "^spec is at work: fault_anon <", "Nothing has changed under it", "spec answers: a new page")
    fault = this_task()["fault"]
    planted(fault["sequence"], 1 << 32, "why", "spec gives up", "spf_abort_changed_before_ptl",
            never=["Nothing has changed"])
    run_to("event_attempt")
    check("at a breakpoint", events.attempt_words(frame_value("f")) == ("spec", "answered", "done"))


def a_speculation_late_on_its_way() -> None:
    """Tests a speculation whose VMA has changed by the time its page is ready."""
    run_to("curtain")
    gdb.execute("race arm anon_page_ready", to_string=True)
    run_to("curtain")
    run_to("race_stop_here")
    ask("why", "at race point anon_page_ready", "spec gives up", "spf_abort_changed_before_ptl",
        never=["Nothing has changed"])
    ends("anon_page_ready", "spec", "gave up", "spf_abort_changed_before_ptl")
    stand_at("commit_before_set")
    ask("why", "^mmap is at work, at race point commit_before_set", "It has locked the entry",
        never=["waits for the PTE lock"])
    ends("commit_before_set", "mmap", "answered", "done")


run_to("main")
a_reader_with_a_writer_behind_it()
at_a_breakpoint()
a_speculation_late_on_its_way()
finish()
