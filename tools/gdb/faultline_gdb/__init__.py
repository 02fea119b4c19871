# SPDX-License-Identifier: MIT
"""
GDB commands for page faults. `help faultline` lists them.

kernel    reads the kernel's structures by the names in its debug information
walk      walks CPUs and tasks, VMAs, page tables
unwind    lets GDB unwind past an interrupt
stack     describes a thread's stack
waits     finds what a thread waits for
replay    runs the kernel's code on a copy of its memory
foretell  predicts the end of an attempt, by a replay of it
ending    stops where the machine is switched off
command   the base class of the commands
"""

from . import (attach, events, locks, overview, pages, race, rcu, reasons, replay, swap, tasks, tlb, tour, unwind, vmas,
               why)


def load() -> None:
    for command in (attach.Attach, vmas.Vmas, pages.Ptwalk, pages.Page, swap.Swap, tlb.Tlb, tasks.Cpus, tasks.Tasks,
                    locks.Locks, rcu.Rcu, reasons.Reasons, race.Race, events.Faults, events.BreakFaultCommand, why.Why,
                    tour.Tour):
        command()
    overview.Overview()
    unwind.load()
    replay.load()
