# SPDX-License-Identifier: MIT
"""What is left of memory, as mm/page/page_alloc.c counts it: what a fault on a CPU can have without anything being reclaimed."""

from . import kernel

FILE = "mm/page/page_alloc.c"


def stashed(cpu):
    """The single pages that the CPU has for itself."""
    return int(kernel.per_cpu(kernel.static(FILE, "stashes"), cpu)["count"])


def kept():
    """The pages that programs do not get."""
    return int(kernel.variable("watermarks")["min"])


def at_hand(cpu):
    """As alloc_page(ALLOC_USER): first the CPU's stash, then what the zone has above its lowest mark."""
    return stashed(cpu) + max(0, int(kernel.static(FILE, "zone")["nr_free"]) - kept())


def describe(cpu):
    return f"no page at hand: CPU {cpu} has {stashed(cpu)} in its stash, {int(kernel.static(FILE, 'zone')['nr_free'])} are " \
        f"free, of which programs may not have the last {kept()}"
