# SPDX-License-Identifier: MIT
"""
No breakpoint is passed unseen while several CPUs run: of a program whose threads fault all the time, GDB has stopped at as many
attempts as the kernel has counted.
"""

from harness import *
from faultline_gdb import reasons

ROUNDS, STOPS = 4, 250


class Counting(gdb.Breakpoint):
    """Goes on by itself, but for each STOPS-th time."""

    seen = 0

    def stop(self):
        self.seen += 1
        return self.seen % STOPS == 0


def attempts():
    return sum(count for name, count in reasons.counters().items() if name.endswith("_attempts"))


run_to("main")
before, stop = attempts(), Counting("event_attempt")
for number in range(ROUNDS):
    gdb.execute("continue", to_string=True)
    counted = attempts() - before
    # A CPU may stand before the breakpoint, or between it and the count.
    check(f"{stop.seen} stops", abs(counted - stop.seen) <= kernel.nr_cpus(), f"{counted} attempts counted")
finish()
