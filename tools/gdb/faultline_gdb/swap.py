# SPDX-License-Identifier: MIT
"""`swap`: shows the swap areas, their devices, and the slots in use."""

import collections.abc

import gdb

from . import kernel
from .command import Command, counted, say

SHOWN_SLOTS = 40


def areas() -> collections.abc.Iterator[tuple[int, gdb.Value]]:
    """Yields (number, area) of the present areas."""
    for number, area in enumerate(kernel.array_of(kernel.static("mm/swap/swap_area.c", "areas"))):
        if area["present"]:
            yield number, area


def constant(name: str) -> int:
    return kernel.define("mm/swap/swap_area.c", name)


def slots(area: gdb.Value) -> collections.abc.Iterator[tuple[int, int, int]]:
    """Yields (offset, state, pfn) of the slots that are neither free nor bad."""
    per_chunk = kernel.PAGE_SIZE // kernel.type_named("struct slot").sizeof
    total = int(area["nr_slots"])
    for first in range(0, total, per_chunk):
        chunk = area["chunks"][first // per_chunk]["slots"]
        data = memoryview(kernel.read_bytes(int(chunk), min(per_chunk, total - first) * 8)).cast("I")
        for number, state in enumerate(data[::2]):
            if state & ~constant("SLOT_BAD"):
                yield first + number, state, data[2 * number + 1]


def number_of(slot: int) -> tuple[int, int]:
    """Returns (area, offset) of a swap_slot_t."""
    bits = kernel.define("mm/table/pgtable.h", "SWAP_OFFSET_BITS")
    return slot >> bits, slot & (1 << bits) - 1


def slot_state(area: gdb.Value, offset: int) -> tuple[int, int]:
    """Returns (state, pfn) of one slot."""
    per_chunk = kernel.PAGE_SIZE // kernel.type_named("struct slot").sizeof
    slot = area["chunks"][offset // per_chunk]["slots"][offset % per_chunk]
    return int(slot["state"]), int(slot["pfn"])


def entries(state: int) -> int:
    return state & constant("SLOT_BAD") - 1


def is_held(state: int) -> bool:
    return bool(state & constant("SLOT_HELD"))


def describe_slot(state: int, pfn: int) -> str:
    count = entries(state)
    words = [f"{count} {'entry names' if count == 1 else 'entries name'} it"]
    if is_held(state):
        words.append(f"in the swap cache: frame {pfn:#x}" if pfn else "claimed: being read past the cache")
    return ", ".join(words)


def requests_are_out() -> bool:
    """Returns whether all requests for swap are in use. The pool is filled when the first one is taken."""
    pool = kernel.static("mm/swap/swap_io.c", "pool")
    return bool(pool["filled"]) and int(pool["free"]["next"]) == int(pool["free"].address)


def target_of(area: gdb.Value) -> gdb.Value:
    """Returns where the area is: on a device, or in a file on one."""
    return area["device"].cast(kernel.type_named("struct swap_target").pointer())


def device_of(area: gdb.Value) -> gdb.Value:
    return target_of(area)["device"]


class Swap(Command):
    """
    Show the swap areas: device, priority, slots in use, and what each slot holds.
    Usage: swap [AREA]

    Without a number: every area, with its first slots. With one: all slots in use of that area.
    """

    name = "swap"

    def choices(self, words: list[str]) -> list[str]:
        return [str(number) for number, _ in areas()] if not words else []

    def run(self, words: list[str]) -> None:
        self.at_most(words, 1)
        present = dict(areas())
        wanted = self.number(words[0], "the number of a swap area") if words else None
        if words and wanted not in present:
            self.wrong(f"swap: there is no area {wanted}. There are: {', '.join(map(str, present)) or 'none'}.")
        if not present:
            say("Nothing is swapped to. Try: tools/faultline run --gdb --swap 16M PROGRAM")
        for number, area in present.items():
            if wanted in (None, number):
                self.show(number, area, None if words else SHOWN_SLOTS)

    def show(self, number: int, area: gdb.Value, limit: int | None) -> None:
        device, used = device_of(area), list(slots(area))
        file = "a file of " if int(target_of(area)["node"]) else ""
        say(f"area {number} on {file}{kernel.text_of(device['name'])} "
            f"({'asynchronous, ' + str(int(device['latency_us'])) + ' µs' if device['async'] else 'synchronous'}): "
            f"{counted(area['nr_pages'], 'slot')}, {len(used)} in use, {counted(area['nr_held'], 'page')} in the swap "
            f"cache, priority {int(area['priority'])}, {counted(area['nr_users'], 'user')}"
            + ("" if area["usable"] else ", going away"))
        for offset, state, pfn in used[:limit]:
            say(f"  slot {offset}: {describe_slot(state, pfn)}")
        if limit and len(used) > limit:
            say(f"  … and {len(used) - limit} more: swap {number}")
