# SPDX-License-Identifier: MIT
"""`reasons`: shows the counters of the fault path. Also looks up reasons for other commands."""

import fnmatch

from . import kernel
from .command import Command, say, table


class Reason:
    def __init__(self, row: list[str]) -> None:
        self.name, strategy, kind, self.sentence, self.mirrors = row
        self.strategy, self.kind = strategy.lower(), kind.lower()


def all_reasons() -> dict[str, Reason]:
    """Returns the rows of mm/reasons.h by name."""
    return {row[0]: Reason(row) for row in kernel.rows("mm/reasons.h", "FAULT_REASONS")}


def counters() -> dict[str, int]:
    """Returns {name: sum over all CPUs}, as in /proc/vmstat."""
    names = [name.removeprefix("COUNT_") for name in kernel.enum("counter")
             if name not in ("COUNT_FIRST_REASON", "NR_COUNTERS")]
    names += [name.removeprefix("REASON_") for name in kernel.enum("fault_reason") if name != "NR_FAULT_REASONS"]
    sums = [0] * len(names)
    array = kernel.variable("counters")
    for cpu in range(kernel.nr_cpus()):
        value = kernel.per_cpu(array, cpu)["value"]
        data = memoryview(kernel.read_bytes(int(value.address), value.type.sizeof)).cast("Q")
        sums = [total + one for total, one in zip(sums, data)]
    found = dict(zip(names, sums))
    del found["NONE"]
    return found


def sentences() -> dict[str, str]:
    counters = "mm/debug/counters.h"
    return {**{row[0]: row[1] for row in kernel.rows(counters, "FAULT_COUNTERS")},
            **{f"{strategy[2]}_{row[1]}": row[2] for strategy in kernel.rows("mm/reasons.h", "FAULT_STRATEGIES")
               for row in kernel.rows(counters, "STRATEGY_COUNTERS")},
            **{name: reason.sentence for name, reason in all_reasons().items()}}


class Reasons(Command):
    """
    Show the counters of the fault path, and what each counts.
    Usage: reasons [all|PATTERN]

    Without an argument: those that have counted anything. PATTERN is a name, * and ? are wildcards: reasons spf_abort_*
    """

    name = "reasons"

    def choices(self, words: list[str]) -> list[str]:
        return ["all", *sentences()] if not words else []

    def run(self, words: list[str]) -> None:
        self.at_most(words, 1)
        pattern = words[0] if words else ""
        text = sentences()
        found = counters()
        if pattern not in ("", "all"):
            found = {name: count for name, count in found.items() if fnmatch.fnmatchcase(name, pattern)}
            if not found:
                self.wrong(f"reasons: no counter is called {pattern}; reasons all shows them.")
        rows = [[str(count), name, text[name]] for name, count in found.items() if count or pattern]
        table(rows) if rows else say("Nothing has been counted yet.")
