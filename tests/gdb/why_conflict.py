# SPDX-License-Identifier: MIT
"""
`why` in the middle of a fault that somebody has come in the way of: who has a lock keeps it, whoever waits for it (planted in
memory); who has none gives up, wherever on the way it stands.
"""

from harness import *
from faultline_gdb import events


def stand_at(point):
    """The next thread that comes there is about to stand there."""
    gdb.execute(f"race arm {point}", to_string=True)
    run_to("stop_here")


def planted(field, bits, question, *patterns, never=()):
    """Asks with some bits of a field set that are not."""
    place, before = int(field.address), kernel.read_bytes(int(field.address), field.type.sizeof)
    value = int.from_bytes(before, "little") | bits
    gdb.selected_inferior().write_memory(place, value.to_bytes(len(before), "little"))
    ask(question, *patterns, never=never)
    gdb.selected_inferior().write_memory(place, before)


def ends(point, *words):
    gdb.execute(f"race release {point}", to_string=True)
    run_to("event_attempt")
    check(f"held at {point}: {words}", events.attempt_words(frame_value("f")) == words, str(events.attempt_words(frame_value("f"))))


def a_reader_with_a_writer_behind_it():
    run_to("touch")
    stand_at("mmap_locked")
    fault = walk.selected_task()["fault"]
    planted(fault["mm"]["mmap_lock"]["count"], kernel.define("kernel/sync/rwsem.h", "RWSEM_WAITERS"), "why",
            "^mmap is at work", "mmap answers: a new page", never=["first waits"])
    ends("mmap_locked", "mmap", "answered", "done")
    run_to("touch")
    stand_at("vma_locked")
    planted(walk.selected_task()["fault"]["locked_vma"]["vm_refcnt"], kernel.define("mm/vma/vma.h", "VMA_WRITER_BAR"), "why",
            "a writer waits for them", "^vma is at work", "vma answers: a new page", never=["gives up"])
    ends("vma_locked", "vma", "answered", "done")


def at_a_breakpoint():
    """Where a kind of fault begins, without any race point: the page tables are walked, and the lock of a VMA is held."""
    run_to("touch")
    run_to("fault_anon")
    ask("why", "^spec is at work: fault_anon <", "Nothing has changed under it", "spec answers: a new page")
    fault = walk.selected_task()["fault"]
    planted(fault["sequence"], 1 << 32, "why", "spec gives up", "spf_abort_changed_before_ptl", never=["Nothing has changed"])
    run_to("event_attempt")
    check("at a breakpoint", events.attempt_words(frame_value("f")) == ("spec", "answered", "done"))


def a_speculation_late_on_its_way():
    """Its page is ready when the VMA has changed; what other threads have asked about at spec_after_walk has not gone away."""
    run_to("curtain")
    gdb.execute("race arm anon_page_ready", to_string=True)
    run_to("curtain")
    run_to("stop_here")
    ask("why", "at race point anon_page_ready", "spec gives up", "spf_abort_changed_before_ptl", never=["Nothing has changed"])
    ends("anon_page_ready", "spec", "gave up", "spf_abort_changed_before_ptl")
    stand_at("commit_before_set")
    ask("why", "^mmap is at work, at race point commit_before_set", "It has locked the entry", never=["waits for the PTE lock"])
    ends("commit_before_set", "mmap", "answered", "done")


run_to("main")
a_reader_with_a_writer_behind_it()
at_a_breakpoint()
a_speculation_late_on_its_way()
finish()
