# SPDX-License-Identifier: MIT
"""
`ptwalk` shows the walk of an address through the page tables; `page` shows a page frame and the entries that map it.
"""

import collections.abc
import gdb

from . import kernel, swap, walk
from .command import Command, counted, pids, say


def lock_owner(lock: gdb.Value) -> str:
    """Describes the holder of a spinlock."""
    cpu = int(lock["owner"]) - 1
    if cpu < 0:
        return "free"
    task = walk.task_on(cpu)
    return f"held by CPU {cpu}" + (f", which runs {walk.task_name(task)}" if task is not None else "")


class Ptwalk(Command):
    """
    Walk the page tables of an address: each level decoded, the lock of the last table, the entry in words.
    Usage: ptwalk ADDRESS [PID]

    The address is any expression of GDB's: 0x7f12345000, p, &array[10], $rsp.
    """

    name = "ptwalk"

    def choices(self, words: list[str]) -> list[str]:
        return pids() if len(words) == 1 else []

    def run(self, words: list[str]) -> None:
        if not words:
            self.wrong("ptwalk: which address?")
        self.at_most(words, 2)
        address = self.address(words[0])
        mm, process = self.mm(words[1] if len(words) > 1 else None)
        say(f"{address:#x} in pid {int(process['pid'])}:")
        for step in walk.walk(mm, address):
            self.show(step)

    def show(self, step: walk.Step) -> None:
        say(f"  {walk.LEVELS[step.level]}[{step.index}] at {step.place:#x} = {step.value:#x}")
        if step.level == 4 and step.index >= 256:
            say("    the kernel's own tables, which no program may use: the walk ends here")
        elif step.level == 1:
            say(f"    {walk.describe_pte(step.value)}")
        elif not step.value:
            say("    no table below: the walk ends here")
        elif step.value & walk.pte_bit("HUGE"):
            say("    a large page")
        elif walk.table_is_bad(step.value):
            say("    makes no sense: a kernel bug")
        else:
            lock = walk.table_page(step.value)["ptl"]
            say(f"    the table in frame {walk.frame(step.value) >> 12:#x}; the lock of its entries is "
                f"{lock_owner(lock)}")


class Page(Command):
    """
    Show what the kernel knows of a page frame: state, references, and every entry that maps it.
    Usage: page ADDRESS|pfn NUMBER [PID]

    An address is looked up in the page tables of the program on the selected CPU, or of process PID.
    """

    name = "page"

    def choices(self, words: list[str]) -> list[str]:
        return ["pfn"] if not words else pids() if len(words) == 1 and words[0] != "pfn" else []

    def run(self, words: list[str]) -> None:
        if not words:
            self.wrong("page: which page?")
        if words[0] == "pfn":
            if len(words) != 2:
                self.wrong("page: pfn is followed by one number.")
            self.show(self.number(words[1], "the number of a page frame"))
            return
        self.at_most(words, 2)
        mm, _ = self.mm(words[1] if len(words) > 1 else None)
        address = self.address(words[0])
        value = entry_of(mm, address)
        if value is None or walk.pte_kind(value) != "PAGE":
            say(f"{address:#x} has no page: " + ("no page table" if value is None else walk.describe_pte(value)))
            return
        self.show(walk.frame(value) >> 12)

    def show(self, pfn: int) -> None:
        if pfn >= int(kernel.variable("max_pfn")):
            raise gdb.GdbError(f"page: the machine has {int(kernel.variable('max_pfn')):#x} page frames, {pfn:#x} is "
                               "beyond them.")
        page = kernel.page_of_pfn(pfn)
        say(f"frame {pfn:#x} (struct page {int(page):#x}): {counted(page['refcount'], 'reference')}, mapped "
            f"{counted(page['mapcount'], 'time')}")
        say(f"  flags: {' '.join(kernel.page_flags(page)) or 'none'}")
        for line in owner_lines(page):
            say(f"  {line}")
        for line in mapping_lines(pfn):
            say(f"  {line}")


def entry_of(mm: gdb.Value, address: int) -> int | None:
    """Returns the entry of the lowest level, or None without a table."""
    last = list(walk.walk(mm, address))[-1]
    return last.value if last.level == 1 else None


def owner_lines(page: gdb.Value) -> collections.abc.Iterator[str]:
    def has(flag: str) -> bool:
        return kernel.page_has(page, flag)

    if has("PG_TABLE"):
        yield f"a page table of {walk.mm_name(page['mm'])}; the lock of its entries is {lock_owner(page['ptl'])}"
    elif has("PG_BUDDY"):
        yield f"free, head of a block of {1 << int(page['order'])} pages"
    elif has("PG_SLAB"):
        yield f"objects of the cache {kernel.text_of(page['cache']['name'])}"
    elif has("PG_ANON"):
        yield f"anonymous: anon_vma {int(page['anon_vma']):#x}, page {int(page['index']):#x} in it"
    elif has("PG_CACHE"):
        yield f"of the mapping {int(page['mapping']):#x}, page {int(page['index']):#x} in it"
    if has("PG_SWAPCACHE"):
        yield "in the swap cache: area {}, slot {}".format(*swap.number_of(int(page["private"])))


def mapping_lines(pfn: int) -> collections.abc.Iterator[str]:
    """
    Yields the entries that map the frame. Searches every address space, to check the reverse map without relying on it.
    """
    for process in walk.processes():
        mm = walk.process_mm(process)
        for found in walk.vmas(mm) if mm is not None else ():
            for address, value in present_entries(mm, found.start, found.end):
                if walk.frame(value) >> 12 == pfn:
                    yield f"mapped by pid {int(process['pid'])} at {address:#x}: {walk.describe_pte(value)}"


def present_entries(mm: gdb.Value, start: int, end: int) -> collections.abc.Iterator[tuple[int, int]]:
    """Yields (address, entry) of all entries that map a page in [start, end), reading one table at a time."""
    span = kernel.PAGE_SIZE * 512
    address = start
    while address < end:
        *_, last = walk.walk(mm, address)
        stop = min(end, (address // span + 1) * span)
        if last.level == 1:
            data = kernel.read_bytes(last.place, (stop - address) // kernel.PAGE_SIZE * kernel.WORD)
            for number, value in enumerate(memoryview(data).cast("Q")):
                if walk.pte_kind(value) == "PAGE":
                    yield address + number * kernel.PAGE_SIZE, value
            address = stop
        else:  # nothing below this entry: continues at the next one of its level
            skip = span << 9 * (last.level - 2)
            address = (address // skip + 1) * skip
