# SPDX-License-Identifier: MIT
"""`tlb`: shows which CPUs may hold translations of an address space, and which shootdowns are under way."""

import gdb

from . import kernel, walk
from .command import Command, counted, pids, say


class Tlb(Command):
    """
    Show which CPUs may hold translations of an address space, and the shootdowns that wait for an acknowledgement.
    Usage: tlb [PID|all]
    """

    name = "tlb"

    def choices(self, words: list[str]) -> list[str]:
        return [*pids(), "all"] if not words else []

    def run(self, words: list[str]) -> None:
        self.at_most(words, 1)
        if words == ["all"] or (not words and ((task := walk.selected_task()) is None or not int(task["mm"]))):
            spaces = [walk.process_mm(process) for process in walk.processes()]
        else:
            spaces = [self.mm(words[0] if words else None)[0]]
        for mm in spaces:
            if mm is not None:
                self.show(mm)
        self.show_requests()

    def show(self, mm: gdb.Value) -> None:
        say(f"{walk.mm_name(mm)}: CPUs that may hold translations: {kernel.cpu_list(int(mm['cpus']))}; "
            f"{counted(mm['tlb_pending'], 'change')} not yet flushed")

    def show_requests(self) -> None:
        requests = kernel.static("kernel/x86/smp.c", "tlb_requests")
        inboxes = kernel.static("kernel/x86/smp.c", "tlb_inbox")
        quiet = True
        for cpu in range(kernel.nr_cpus()):
            request, inbox = kernel.per_cpu(requests, cpu), int(kernel.per_cpu(inboxes, cpu))
            if int(request["waiting"]):
                quiet = False
                say(f"CPU {cpu} has asked for {extent(request)} to be dropped, and waits for CPU "
                    f"{kernel.cpu_list(int(request['waiting']))}")
            if inbox:
                quiet = False
                say(f"CPU {cpu} has yet to look at requests of CPU {kernel.cpu_list(inbox)}")
        if quiet:
            say("No shootdown is under way.")


def extent(request: gdb.Value) -> str:
    start, end = int(request["start"]), int(request["end"])
    return "everything" if end == (1 << 64) - 1 else f"{start:#x}-{end:#x}"
