# SPDX-License-Identifier: MIT
"""`rcu`: shows the generation, the CPUs that have noted it, and the callbacks that wait."""

import gdb

from . import kernel, walk
from .command import Command, say, table


def chain(first: gdb.Value, limit: int = 10000) -> str:
    """Counts the functions of a list of callbacks."""
    counts: dict[str, int] = {}
    head = first
    while int(head) and limit:
        name = kernel.function_name(int(head["func"])) or "?"
        counts[name] = counts.get(name, 0) + 1
        head, limit = head["next"], limit - 1
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


class Rcu(Command):
    """
    Show the state of RCU: the generation, which CPUs hold it up, and the call-backs that wait.
    Usage: rcu
    """

    name = "rcu"

    def run(self, words: list[str]) -> None:
        self.at_most(words, 0)
        generation = int(kernel.static("kernel/sync/rcu.c", "generation"))
        say(f"generation {generation}: over when every CPU has noted it or is idle")
        states = kernel.static("kernel/sync/rcu.c", "rcu")
        table([self.describe(cpu, kernel.per_cpu(states, cpu), generation) for cpu in range(kernel.nr_cpus())])

    def describe(self, cpu: int, state: gdb.Value, generation: int) -> list[str]:
        noted, nesting = int(state["noted"]), int(state["nesting"])
        seen = "idle" if not noted else f"noted {noted}" if noted >= generation else f"noted {noted}: holds it up"
        task = walk.task_on(cpu)
        reading = f"reading (depth {nesting})" if nesting else "not reading"
        waiting = f"waiting for {int(state['waiting_for'])} to end: {chain(state['waiting']['first'])}"
        return [f"CPU {cpu}", walk.task_name(task) if task is not None else "", seen, reading, waiting,
                f"queued: {chain(state['queued']['first'])}"]
