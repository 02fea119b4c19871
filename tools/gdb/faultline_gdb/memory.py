# SPDX-License-Identifier: MIT
"""Free memory as mm/page/page_alloc.c counts it: the pages that a fault can get on a CPU without reclaim."""

from . import kernel

FILE = "mm/page/page_alloc.c"


def stashed(cpu: int) -> int:
    """Returns the number of pages in the CPU's stash."""
    return int(kernel.per_cpu(kernel.static(FILE, "stashes"), cpu)["count"])


def kept() -> int:
    """Returns the number of pages that programs cannot allocate."""
    return int(kernel.variable("watermarks")["min"])


def describe(cpu: int) -> str:
    return (f"no page at hand: CPU {cpu} has {stashed(cpu)} in its stash, "
            f"{int(kernel.static(FILE, 'zone')['nr_free'])} are free, of which programs may not have the last {kept()}")
