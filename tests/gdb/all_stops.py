# SPDX-License-Identifier: MIT
"""
Tests that GDB misses no breakpoint while several CPUs run. In a program whose threads fault all the time, GDB stops at
as many attempts as the kernel counts.
"""

import gdb

from faultline_gdb import kernel, reasons
from harness import check, finish, run_to

ROUNDS, STOPS = 4, 250


class Counting(gdb.Breakpoint):
    """A breakpoint that continues by itself, except for each STOPS-th hit."""

    seen = 0

    def stop(self) -> bool:
        self.seen += 1
        return self.seen % STOPS == 0


def attempts() -> int:
    return sum(count for name, count in reasons.counters().items() if name.endswith("_attempts"))


run_to("main")
before, stop = attempts(), Counting("event_attempt")
for number in range(ROUNDS):
    gdb.execute("continue", to_string=True)
    counted = attempts() - before
    # A CPU may be just before the breakpoint, or between it and the count.
    check(f"{stop.seen} stops", abs(counted - stop.seen) <= kernel.nr_cpus(), f"{counted} attempts counted")
finish()
