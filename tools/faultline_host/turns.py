# SPDX-License-Identifier: MIT
"""
Reads which CPU ran when. Under --schedule and --deterministic, QEMU runs the CPUs in turn, and its clock counts the
instructions of all of them. The plugin tools/plugin/turns.c records when another CPU takes over; from this follows how
many instructions one CPU has executed between two moments.
"""

import bisect
import collections.abc
import os
import struct
import subprocess

from . import machine

PLUGIN = os.path.join(machine.ROOT, "build", "turns.so")


# Executed only by the schedule fuzzer: no program pays for it without --schedule.
FUZZER = ("schedule_fuzz", "next_random", "race_hit")


def plugin_arguments(path: str, kernel: str) -> list[str]:
    """Returns QEMU's arguments that make it write its turns to this file; none if the plugin cannot be built."""
    if not os.path.exists(PLUGIN):
        subprocess.run(["make", "-s", "-C", machine.ROOT, os.path.relpath(PLUGIN, machine.ROOT)], capture_output=True,
                       check=False, env={**os.environ, "DEPS": "skip"})
    if not os.path.exists(PLUGIN):
        return []
    skipped = [f"skip={start:#x}-{end:#x}" for start, end in functions(kernel, FUZZER)]
    return ["-plugin", ",".join([PLUGIN, f"out={path}", *skipped])]


def functions(kernel: str, wanted: collections.abc.Sequence[str]) -> list[tuple[int, int]]:
    """Returns [(start, end)] of those of the wanted functions that the kernel has."""
    listing = subprocess.run(["nm", "-S", kernel], capture_output=True, text=True, check=False).stdout
    found = [words for words in map(str.split, listing.splitlines()) if len(words) == 4 and words[3] in wanted]
    return [(int(start, 16), int(start, 16) + int(size, 16)) for start, size, _, _ in found]


def read(path: str) -> "Turns | None":
    """Returns the turns in this file, or None if QEMU has written none."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        data = file.read()
    found = [(word >> 8, word & 0xff) for word, in struct.iter_unpack("<Q", data[:len(data) // 8 * 8])]
    return Turns(found) if found else None


class Turns:
    """The turns, from [(moment, CPU that takes over, or NOBODY)] in the order of time; the last turn has no end."""

    def __init__(self, found: list[tuple[int, int]]) -> None:
        self.starts, self.owners = [start for start, _ in found], [cpu for _, cpu in found]
        # {CPU: (starts of its turns, instructions that it had executed before each)}
        self.mine: dict[int, tuple[list[int], list[int]]] = {cpu: ([], []) for cpu in self.owners}
        executed = dict.fromkeys(self.mine, 0)
        for (start, cpu), end in zip(found, self.starts[1:] + [None]):
            self.mine[cpu][0].append(start)
            self.mine[cpu][1].append(executed[cpu])
            executed[cpu] += end - start if end is not None else 0

    def owner(self, moment: int) -> int:
        return self.owners[max(bisect.bisect_right(self.starts, moment) - 1, 0)]

    def executed(self, cpu: int, start: int, end: int) -> int:
        """Returns the instructions that this CPU executed from `start` to `end`."""
        return self.until(cpu, end) - self.until(cpu, start)

    def until(self, cpu: int, moment: int) -> int:
        starts, executed = self.mine.get(cpu, ((), ()))
        index = bisect.bisect_right(starts, moment) - 1
        if index < 0:
            return 0
        so_far = executed[index] + moment - starts[index]
        return so_far if index + 1 == len(starts) else min(so_far, executed[index + 1])

    def own(self, start: int, end: int) -> int:
        """
        Returns the instructions of the CPU that ran at `start`: for an event that does not sleep, and so stays on its
        CPU.
        """
        return self.executed(self.owner(start), start, end)

    def elapsed(self, start: int, end: int) -> int:
        """Returns the duration as if the CPUs ran in parallel: the instructions of the busiest of them."""
        return max(self.executed(cpu, start, end) for cpu in self.mine)


class OneAtATime(Turns):
    """For a machine with one CPU, or a QEMU that records no turns: all executed instructions count."""

    def __init__(self) -> None:
        super().__init__([(0, 0)])
