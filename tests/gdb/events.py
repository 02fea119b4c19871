# SPDX-License-Identifier: MIT
"""Tests `faults` and `break-fault`: every stop is at an attempt as described, and the ring has it."""

import re

import gdb

from faultline_gdb import walk
from harness import ask, check, completes, finish, frame_value, refuses


def stops_at(words: str, *patterns: str) -> None:
    """
    Runs `break-fault words`, continues: the first stop must be as described, and the ring must have the event one step
    later.
    """
    ask(f"break-fault {words}", r"^Breakpoint \d+: at attempts (of pid 1 )?that are \w")
    said = gdb.execute("continue", to_string=True)
    for pattern in patterns:
        check(f"break-fault {words}: {pattern}", re.search(pattern, said, re.MULTILINE), said)
    check(f"break-fault {words}: stands in the event", gdb.newest_frame().name() == "event_attempt")
    gdb.execute("delete", to_string=True)
    cpu, last = walk.selected_cpu(), int(frame_value("f")["address"])
    gdb.execute("finish", to_string=True)
    lines = ask("faults 1").split(f"CPU {cpu}:\n")[1].splitlines()
    check(f"break-fault {words}: the ring has it last", f"{last:#x}" in lines[0], "\n".join(lines))


refuses("break-fault fast", "“fast” is none of these: a PID, 0xADDRESS, anon, mapping, swap", "^Usage: break-fault")
refuses("break-fault spf_skip_not_user", "counted without an attempt's ending")
refuses("faults 0", "at least one")
refuses("faults many", "“many” is not a number of events")
completes("break-fault gave", "break-fault gave_up")
completes("break-fault spec spf_abort_o", "break-fault spec spf_abort_odd_count", "break-fault spec spf_abort_outside")
completes("break-fault wri", "break-fault write", "break-fault write_protect")
refuses("break-fault read write", "“write” is a second word for the same thing")
stops_at("1 write", r": write 0x[0-9a-f]+ \(")
stops_at("execute", r": execute 0x[0-9a-f]+ \(")
stops_at("1 mapping vma answered", r"\(tid 1\) on CPU \d+: (read|execute) 0x[0-9a-f]+ \(mapping\): vma answered done")
stops_at("spf_abort_no_anon_vma", r"write .* \(write_protect\): spec gave up spf_abort_no_anon_vma")
stops_at("swap gave_up", r"read .* \(swap\): spec gave up spf_abort_swap_not_cached")
ask("faults 4", r"^CPU 0:",
    r"tid \d+ +read of swap +0x[0-9a-f]+ +spec gave up: spf_abort_swap_not_cached +at \d+ for \d+ cycles, from ",
    r"tid \d+ +swap out +area 0, slot \d+ +at", r"from \w+ \(user/[\w/]+\.[ch]:\d+\)")
ask("faults 1000", r"tid 1 +mmap write +sequence 1 +at", r"tid 1 +vma write +0x[0-9a-f]+ +to 0x[0-9a-f]+ +at",
    r"tid 1 +write of anon +0x7ffff\w+ +mmap answered: done +at \d+ for \d+ cycles, in exec$")
finish()
