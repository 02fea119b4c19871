# SPDX-License-Identifier: MIT
"""`vmas`: shows the VMAs of an address space, with the state of their locks."""

import gdb

from . import kernel, walk
from .command import Command, counted, pids, say, size, table


def flag_words(flags: int) -> list[str]:
    """Returns the names of the VM_… flags that are set, without VM_MAY…; the protection key is shown as a number."""
    words = [name.removeprefix("VM_").lower() for name, bit in kernel.defines("mm/vma/vma.h").items()
             if name.startswith("VM_") and not name.startswith("VM_MAY") and flags & bit and is_one_bit(bit)
             and name not in ("VM_STACK", "VM_PKEY_SHIFT")]
    key = (flags & kernel.define("mm/vma/vma.h", "VM_PKEY")) >> kernel.define("mm/vma/vma.h", "VM_PKEY_SHIFT")
    return words + ([f"key {key}"] if key else [])


def is_one_bit(number: int) -> bool:
    return not number & number - 1


def is_being_changed(vma: gdb.Value) -> bool:
    return int(vma["vm_lock_seq"]) == int(vma["mm"]["mm_lock_seq"])


def nr_readers(vma: gdb.Value) -> int:
    return max((int(vma["vm_refcnt"]) & kernel.define("mm/vma/vma.h", "VMA_WRITER_BAR") - 1) - 1, 0)


def lock_state(vma: gdb.Value) -> str:
    """Describes the per-VMA lock's word and the sequence."""
    count = int(vma["vm_refcnt"])
    bar = kernel.define("mm/vma/vma.h", "VMA_WRITER_BAR")
    if not count:
        return "detached"
    readers = nr_readers(vma)
    words = [counted(readers, "reader")] if readers else []
    words += ["a writer waits for them"] if count & bar else []
    words += ["being changed"] if is_being_changed(vma) else []
    return ", ".join(words) or "free"


def what(vma: gdb.Value) -> str:
    if not int(vma["ops"]):
        return "anonymous" + ("" if int(vma["anon_vma"]) else ", no anon_vma yet")
    if int(vma["file"]):
        return f"file, mapping {int(vma['mapping']):#x}"
    name = vma["ops"]["name"]
    return kernel.text_of(name) if int(name) else f"mapping {int(vma['mapping']):#x}"


def describe(found: walk.Found) -> list[str]:
    vma = found.vma
    return [f"{found.start:#x}-{found.end:#x}", size((found.end - found.start) // kernel.PAGE_SIZE),
            " ".join(flag_words(int(vma["flags"]))) or "no access", lock_state(vma),
            f"seq {int(vma['vm_lock_seq'])}", what(vma)]


def mmap_lock_state(mm: gdb.Value) -> str:
    """Describes the count of mmap_lock."""
    def constant(name: str) -> int:
        return kernel.define("kernel/sync/rwsem.h", name)

    count = int(mm["mmap_lock"]["count"])
    words = []
    if count & constant("RWSEM_WRITER"):
        words.append("held for writing")
    if count // constant("RWSEM_READER"):
        words.append(f"{count // constant('RWSEM_READER')} reading")
    if count & constant("RWSEM_WAITERS"):
        words.append("others wait")
    return ", ".join(words) or "free"


class Vmas(Command):
    """
    Show the VMAs of an address space: bounds, flags, the per-VMA lock, the sequence count.
    Usage: vmas [PID|all]

    Without an argument: those of the program on the selected CPU (thread N selects CPU N-1). The first line has the
    sequence count of the whole address space: odd while mmap_lock is held for writing. A VMA whose own count (seq)
    equals it is being changed: neither speculation nor the per-VMA lock use it until mmap_lock is released.
    """

    name = "vmas"

    def choices(self, words: list[str]) -> list[str]:
        return [*pids(), "all"] if not words else []

    def run(self, words: list[str]) -> None:
        self.at_most(words, 1)
        if words != ["all"]:
            self.show(*self.mm(words[0] if words else None))
            return
        spaces = [(mm, process) for process in walk.processes() if (mm := walk.process_mm(process)) is not None]
        for mm, process in spaces:
            self.show(mm, process)
        if not spaces:
            say("There is no address space yet.")

    def show(self, mm: gdb.Value, process: gdb.Value) -> None:
        found = list(walk.vmas(mm))
        height = walk.tree_height(mm)
        say(f"pid {int(process['pid'])}: {counted(len(found), 'VMA')} in a tree of {counted(height, 'level')}, "
            f"sequence {int(mm['mm_lock_seq'])}, mmap_lock {mmap_lock_state(mm)}")
        table([describe(one) for one in found])
