# SPDX-License-Identifier: MIT
"""
Tests every command in every state: before there is memory, before there are processes, in a program, in a fault, in a
tick, on an idle CPU, inside a panic, and after the machine has ended. Each command answers, or says in a sentence why
it cannot.
"""

import gdb

from faultline_gdb import walk
from harness import COMMANDS, answer, ask, check, finish, in_its_own_words, run_to

ADDRESSES = ("0", "0x1000", "0x400000", "0x7ffffffff000", "0x800000000000", "0xffff800000000000", "0xffffffff80000000",
             "-1", "$sp", "$pc", "page")
QUESTIONS = (
    [*COMMANDS, "vmas all", "vmas 1", "tlb all", "tlb 1", "faults 1000", "reasons all", "race list", "page pfn 0",
     "page pfn 0x100", "why tid 1", "why 0x400000 w 1", "why 0 w kernel", "swap 0"]
    + [f"{name} {address}" for name in ("ptwalk", "page", "why") for address in ADDRESSES]
    + [f"why {address} w" for address in ADDRESSES])
NOT_ASKED = ("break-fault", "tour")  # the first sets a breakpoint, the other continues the machine


def everywhere(when: str) -> None:
    strange = [one for question in QUESTIONS if question not in NOT_ASKED and (one := in_its_own_words(question))]
    check(f"{when}: every command answers in its own words", not strange, "\n".join(strange))


def on_each_cpu(when: str) -> None:
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        everywhere(f"{when}, CPU {walk.cpu_of_thread(thread)}")


everywhere("at the first instruction")
for where in ("page_alloc_init", "sched_init", "start_first_process"):
    run_to(where)
    everywhere(where)
run_to("fault_in")
ask("tasks", r"tid 1\) +on CPU \d .* fault_in < ", never=["kernel thread +in user mode", "@"])
for where in ("main", "fault_in", "sched_tick", "log_walks"):  # log_walks is called in a panic
    run_to(where)
    on_each_cpu(where)
answer("kill")
for question in [*QUESTIONS, "tour cow", "break-fault 7 swap"]:
    said, error = answer(question)
    check(f"{question}: knows that the machine has ended",
          question in ("faultline", "tour") or "no machine" in (error or ""), str(error))
finish()
