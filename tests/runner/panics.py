# SPDX-License-Identifier: MIT
"""Tests that a panic is reported to its end, whatever GDB corrupts in the middle of it."""

import os
import re

from . import OUTPUT
from .job import Job, Result

EXECUTED = "The kernel executed 0{14}10, which is not mapped"
NO_INTERRUPTS = "set $eflags = 2\n"  # or a timer interrupt might be the first to use what is missing

# name, where GDB stops, what it does there, what must still be printed
CASES = (
    ("lost-gs-base", "crash", NO_INTERRUPTS + "set $gs_base = 0",
     "FAULTLINE-PANIC .*    runs hang.*tables at .*, faulting on CPU"),
    ("lost-thread", "crash", NO_INTERRUPTS + "set ((struct cpu *)$gs_base)->task = (struct task *)0xdead000000000000",
     "FAULTLINE-PANIC sysrq: panic requested.*    runs a thread that cannot be read.*tables at .*, faulting on CPU"),
    ("nmi", "log_walks", "call (void)lapic_send(((struct cpu *)$gs_base)->apic_id, 0x4400)",
     "FAULTLINE-PANIC sysrq: panic requested.*tables at .*, faulting on CPU"),
    ("inside-a-panic", "log_walks", "set $rip = 16",
     f"FAULTLINE-PANIC sysrq: panic requested.*FAULTLINE-PANIC inside the panic: {EXECUTED}"),
    ("inside-its-headline", "kvsnprintf", "set $rip = 16", f"FAULTLINE-PANIC inside the panic: {EXECUTED}"),
    ("inside-each", "kvsnprintf", "set $rip = 16\ncontinue\nset $rip = 16\ncontinue\nset $rip = 16",
     "FAULTLINE-PANIC inside the panic, again"),
)


def jobs() -> list[Job]:
    return [job(*case) for case in CASES]


def job(name: str, place: str, command: str, expected: str) -> Job:
    script = os.path.join(OUTPUT, f"panic-{name}.gdb")
    until_crash = "break crash\ncontinue\n" if place != "crash" else ""
    os.makedirs(OUTPUT, exist_ok=True)
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"{until_crash}break {place}\ncontinue\n{command}\ncontinue\n")
    # One thread for all CPUs: none runs on when GDB stops another.
    return Job(name=f"panic/{name}", has_log=True, weight=4, judge=lambda result: judge(result, expected),
               command=["tools/faultline", "run", "--threads", "single", "--cpus", "3", "--gdb-script", script,
                        "build/user/hang", "panic"])


def judge(result: Result, expected: str) -> list[str]:
    said = result.stderr.decode(errors="replace")
    ended = re.search(f"(?s){expected}.*FAULTLINE-PANIC-END", said)
    return [] if ended else [f"stderr does not match “{expected}”: {said[-2000:]}"]
