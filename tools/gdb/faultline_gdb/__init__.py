# SPDX-License-Identifier: MIT
"""
GDB commands for page faults. `help faultline` lists them.

kernel    reads the kernel's structures by the names in its debug information
walk      CPUs and tasks, VMAs, page tables
unwind    how GDB gets past an interrupt
stack     what a thread is in the middle of
waits     what a thread waits for
model     a fault played through on the memory as it is: model_spec, model_locked, model_kinds
places    where in the sources something is decided
ending    where the machine goes off
command   what all commands share
"""

from . import attach, events, locks, overview, pages, race, rcu, reasons, swap, tasks, tlb, tour, unwind, vmas, why


def load():
    for command in (attach.Attach, vmas.Vmas, pages.Ptwalk, pages.Page, swap.Swap, tlb.Tlb, tasks.Cpus, tasks.Tasks,
                    locks.Locks, rcu.Rcu, reasons.Reasons, race.Race, events.Faults, events.BreakFaultCommand, why.Why, tour.Tour):
        command()
    overview.Overview()
    unwind.load()
