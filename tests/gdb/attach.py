# SPDX-License-Identifier: MIT
"""
Tests attaching: 64-bit mode from the first stop, a thread for each CPU, symbols of kernel and program, every command.
"""

import gdb

from faultline_gdb import walk
from harness import ask, check, finish, refuses, run_to

COMMANDS = ("vmas", "ptwalk", "page", "swap", "tlb", "cpus", "tasks", "locks", "rcu", "reasons", "race", "why",
            "faults", "break-fault", "tour")

check("the first stop is the kernel's 64-bit entry", gdb.selected_frame().name() == "kernel_start64")
check("the first stop is x86-64", gdb.selected_frame().architecture().name() == "i386:x86-64")
check("a thread for each CPU", sorted(walk.cpu_of_thread(t) for t in gdb.selected_inferior().threads()) == [0, 1, 2])
refuses("vmas", "CPU 0 runs no program|has not set its memory up")
ask("help faultline", *(rf"^{name} +\S" for name in COMMANDS))
for name in COMMANDS:
    ask(f"help {name}", r"^Usage: " + name, r"^[A-Z`].*\.$")
run_to("main")
check("the program's own symbols", gdb.selected_frame().find_sal().symtab.filename.endswith("hello.c"))
check("a static PIE is where its symbols are", int(gdb.parse_and_eval("data")) == 7)
ask("vmas", r"^pid 1: \d+ VMAs", r"0x555555554000-.* read +free")
ask("info symbol fault_in", "fault_in in section .text")
finish()
