# SPDX-License-Identifier: MIT
"""Walks the kernel's linked structures: CPUs and tasks, the VMAs of an address space, its page tables."""

import collections.abc
import gdb

from . import kernel


# --- CPUs and tasks --------------------------------------------------------------------------------------------------

def selected_cpu() -> int:
    """Returns the selected CPU: QEMU shows each CPU as a thread, in order."""
    return cpu_of_thread(gdb.selected_thread())


def cpu_of_thread(thread: gdb.InferiorThread) -> int:
    return thread.ptid[1] - 1


def thread_of_cpu(cpu: int) -> gdb.InferiorThread:
    return next(thread for thread in gdb.selected_inferior().threads() if cpu_of_thread(thread) == cpu)


def task_on(cpu: int) -> gdb.Value | None:
    """Returns the task on a CPU, or None before it runs one."""
    task = kernel.variable("cpus")[cpu]["task"]
    return task if int(task) else None


def selected_task() -> gdb.Value | None:
    return task_on(selected_cpu())


def processes() -> collections.abc.Iterator[gdb.Value]:
    head = kernel.variable("all_processes")
    return kernel.list_entries(head, "struct process", "all_link") if int(head["next"]) else iter(())


def threads(process: gdb.Value) -> collections.abc.Iterator[gdb.Value]:
    return kernel.list_entries(process["threads"], "struct task", "thread_link")


def tasks() -> collections.abc.Iterator[gdb.Value]:
    for process in processes():
        yield from threads(process)


def all_tasks() -> list[gdb.Value]:
    """Returns the tasks of all processes and the others that are on a CPU: idle tasks, and one that is exiting."""
    found = {int(task): task for task in tasks()}
    for cpu in range(kernel.nr_cpus()):
        task = task_on(cpu)
        if task is not None:
            found.setdefault(int(task), task)
    return list(found.values())


def is_idle(task: gdb.Value) -> bool:
    return bool(task["is_idle"])


def task_name(task: gdb.Value) -> str:
    return "idle" if is_idle(task) else f"{kernel.text_of(task['comm']) or 'no name yet'} (tid {int(task['tid'])})"


def cpu_running(task: gdb.Value) -> int | None:
    """Returns the CPU that the task runs on now, or None."""
    for cpu in range(kernel.nr_cpus()):
        running = task_on(cpu)
        if running is not None and int(running) == int(task):
            return cpu
    return None


def process_mm(process: gdb.Value) -> gdb.Value | None:
    for task in threads(process):
        if int(task["mm"]):
            return task["mm"]
    return None


def owner_of(mm: gdb.Value) -> gdb.Value | None:
    """
    Returns the first process that uses the address space, or None. During exec, a thread's can differ from that of the
    others.
    """
    return next((task["process"] for task in tasks() if int(task["mm"]) == int(mm)), None)


def mm_name(mm: gdb.Value) -> str:
    process = owner_of(mm)
    return f"pid {int(process['pid'])}" if process is not None else f"mm {int(mm):#x}"


# --- VMAs ------------------------------------------------------------------------------------------------------------

class Found:
    """An entry of the tree: its bounds in the tree, and the VMA."""

    def __init__(self, entry: gdb.Value) -> None:
        self.start, self.end = int(entry["start"]), int(entry["end"])
        self.vma = entry["slot"].cast(kernel.type_named("struct vma").pointer())


def tree_height(mm: gdb.Value) -> int:
    root = mm["tree"]["root"]
    return int(root["level"]) + 1 if int(root) else 0


def vmas(mm: gdb.Value) -> collections.abc.Iterator[Found]:
    root = mm["tree"]["root"]
    return _below(root) if int(root) else iter(())


def _below(node: gdb.Value) -> collections.abc.Iterator[Found]:
    for index in range(int(node["nr"])):
        entry = node["entries"][index]
        if int(node["level"]):
            yield from _below(entry["slot"].cast(node.type))
        else:
            yield Found(entry)


def find_vma(mm: gdb.Value, address: int) -> Found | None:
    """Mirrors vma_tree_find(): returns the entry that contains the address, or None."""
    found = find_vma_from(mm, address)
    return found if found and found.start <= address else None


def find_vma_from(mm: gdb.Value, address: int) -> Found | None:
    """Mirrors vma_tree_find_from(): returns the first entry that ends above the address, or None."""
    node = mm["tree"]["root"]
    while int(node):
        for index in range(int(node["nr"])):
            entry = node["entries"][index]
            if int(entry["end"]) > address:
                break
        else:
            return None
        if not int(node["level"]):
            return Found(entry)
        node = entry["slot"].cast(node.type)
    return None


# --- Page tables -----------------------------------------------------------------------------------------------------

LEVELS = {4: "PGD", 3: "PUD", 2: "PMD", 1: "PTE"}


class Step:
    """One level of a walk: the table, the index, and the entry."""

    def __init__(self, level: int, table: int, index: int) -> None:
        self.level, self.table, self.index = level, table, index
        self.place = table + index * kernel.WORD
        self.value = kernel.read_u64(self.place)


def pte_bit(name: str) -> int:
    return kernel.define("mm/table/pgtable.h", f"PTE_{name}")


def table_index(address: int, level: int) -> int:
    return address >> 12 + 9 * (level - 1) & 511


def frame(value: int) -> int:
    return value & pte_bit("FRAME")


def table_is_bad(value: int) -> bool:
    """Mirrors pmd_bad()."""
    wanted = pte_bit("PRESENT") | pte_bit("WRITE") | pte_bit("USER")
    return value & (wanted | pte_bit("HUGE")) != wanted


def walk(mm: gdb.Value, address: int) -> collections.abc.Iterator[Step]:
    """Yields the entries from the top table down to where the walk ends."""
    table = int(mm["pgd"])
    for level in (4, 3, 2, 1):
        step = Step(level, table, table_index(address, level))
        yield step
        if level == 1 or table_is_bad(step.value):
            return
        table = kernel.phys_to_virt(frame(step.value))


def pte_kind(value: int) -> str:
    """Mirrors pte_kind(), the kernel's only decoder of entries."""
    if value & (pte_bit("PRESENT") | pte_bit("PROTNONE")):
        return "PAGE"
    if not value:
        return "NONE"
    if value & pte_bit("SWAP"):
        return "SWAP" if swap_device(value) < kernel.define("mm/table/pgtable.h", "SWAP_DEVICE_SPECIAL") else "SPECIAL"
    return "MARKER"


def swap_device(value: int) -> int:
    return value >> 2 & 0x1f


def swap_slot(value: int) -> tuple[int, int]:
    """Returns (area, offset) of an entry that holds a swap slot."""
    return swap_device(value), frame(value) >> 12


def table_page(value: int) -> gdb.Value:
    """Returns the struct page of the table that an entry points to: it has the lock of that table's entries."""
    return kernel.page_of_pfn(frame(value) >> 12)


def describe_pte(value: int) -> str:
    """Describes an entry of the lowest level."""
    kind = pte_kind(value)
    if kind == "NONE":
        return "nothing was ever here, or it was removed"
    if kind == "SWAP":
        return "swapped out: area {}, slot {}".format(*swap_slot(value))
    if kind != "PAGE":
        return kind.lower()
    words = [f"page frame {frame(value) >> 12:#x}"]
    if value & pte_bit("SPECIAL"):
        words.append("the shared zero page")
    words.append("may be written" if value & pte_bit("WRITE") else "read-only")
    words += [word for bit, word in (("ACCESSED", "accessed"), ("DIRTY", "dirty"), ("NX", "not executable"))
              if value & pte_bit(bit)]
    key = (value & pte_bit("KEY")) >> kernel.define("mm/table/pgtable.h", "PTE_KEY_SHIFT")
    words += [f"protection key {key}"] if key else []
    words += [] if value & pte_bit("PRESENT") else ["PROT_NONE: the CPU cannot use it"]
    return ", ".join(words)
