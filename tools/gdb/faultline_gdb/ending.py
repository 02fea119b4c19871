# SPDX-License-Identifier: MIT
"""
Stops GDB where the kernel switches the machine off, reports how the program has ended, and detaches. Otherwise the
connection would break while GDB uses it.
"""

import re

import gdb

from . import kernel
from .command import say

LAST_WORDS = 4096


class Ending(gdb.Breakpoint):
    """The breakpoint. A replayed run does not reach it: QEMU ends it before."""

    def __init__(self) -> None:
        super().__init__(f"*{int(kernel.variable('power_off').address):#x}", type=gdb.BP_HARDWARE_BREAKPOINT,
                         internal=True)
        self.silent = True
        gdb.events.stop.connect(self.stopped)

    def stopped(self, event: gdb.StopEvent) -> None:
        if isinstance(event, gdb.BreakpointEvent) and self in event.breakpoints:
            say(f"{how_it_ended()}; the machine is off.")
            gdb.execute("detach", to_string=True)


def how_it_ended() -> str:
    """Returns how the run ended, from the last records of the kernel's log."""
    log = last_words()
    ended = re.search(r"FAULTLINE-EXIT status=(\d+) check=(\w+)", log)
    if not ended:
        return "The kernel has panicked: its log says why"
    code = int(ended[1])
    how = f"was killed by signal {code & 0x7f}" if code & 0x7f else f"has ended with status {code >> 8 & 0xff}"
    return f"The program {how}" + (
        "" if ended[2] == "ok" else ", but the kernel's own checks failed: its log says which")


def last_words() -> str:
    ring, written = (kernel.static("kernel/lib/print.c", "log_ring"),
                     int(kernel.static("kernel/lib/print.c", "log_written")))
    text = bytes(gdb.selected_inferior().read_memory(int(ring.address), ring.type.sizeof))
    end = written % len(text)
    return (text[end:] + text[:end])[-LAST_WORDS:].decode(errors="replace")
