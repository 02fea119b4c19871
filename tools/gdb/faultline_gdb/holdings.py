# SPDX-License-Identifier: MIT
"""
Finds the holders of locks. The debug kernel records each lock that is held. In the release kernel, this uses the owners
that locks store, and the locks that faults record as held (kernel/debug/lock_owners.h).
"""

import collections.abc
import typing

import gdb

from . import kernel, vmas, walk

if typing.TYPE_CHECKING:
    from .waits import Wait  # waits imports this module

LIMITS = "This release kernel does not record every lock: shown are locks that store their owner, and those of faults."


class Holding:
    """A task that holds a lock."""

    def __init__(self, task: gdb.Value, lock: int, rank: str, how: str) -> None:
        self.task, self.lock, self.rank, self.how = task, lock, rank, how


def holdings(waits: "list[Wait]") -> collections.abc.Iterable[Holding]:
    """Returns all known holdings; `waits` are all waits."""
    return noted() if kernel.is_debug() else known(waits)


# --- The debug kernel ------------------------------------------------------------------------------------------------

def noted() -> collections.abc.Iterator[Holding]:
    """Yields the recorded holdings: sleeping locks belong to threads, spinlocks to CPUs."""
    for task in walk.all_tasks():
        for lock, rank in entries(task["held"]):
            yield Holding(task, lock, rank, how_held(lock, rank, task))
    lists = kernel.static("kernel/sync/spinlock.c", "spins_held")
    for cpu in range(kernel.nr_cpus()):
        for lock, rank in entries(kernel.per_cpu(lists, cpu)):
            yield Holding(walk.task_on(cpu), lock, rank, "held")


def entries(held: gdb.Value) -> collections.abc.Iterable[tuple[int, str]]:
    """Returns each lock once: a list that is being changed may contain one twice."""
    found = {}
    for index in range(int(held["depth"])):
        entry = held["held"][index]
        found[int(entry["lock"])] = kernel.enum_name("lock_rank", entry["rank"], "RANK_")
    return found.items()


def is_with_device(page: int) -> bool:
    """Returns whether I/O is under way on a page that is waited for: then no thread holds its lock."""
    if kernel.is_debug():
        return not any(one.lock == page for one in noted())
    flags = kernel.page_flags(kernel.as_pointer(page, "struct page"))
    return "uptodate" not in flags if "locked" in flags else "writeback" in flags


def how_held(lock: int, rank: str, task: gdb.Value) -> str:
    if rank == "VMA":
        return "read-locked"
    if rank == "MMAP_LOCK":
        writer = int(kernel.as_pointer(lock, "struct rwsem")["owner"])
        return "held for writing" if writer == int(task) else "held for reading"
    return "held"


# --- The release kernel ----------------------------------------------------------------------------------------------

def known(waits: "list[Wait]") -> list[Holding]:
    found = {}
    for task in walk.all_tasks():
        for one in [*as_writer(task), *in_fault(task)]:
            found[int(task), one.lock] = one
    for one in filter(None, map(owner_of, waits)):
        found.setdefault((int(one.task), one.lock), one)
    return list(found.values())


def as_writer(task: gdb.Value) -> collections.abc.Iterator[Holding]:
    """Yields mmap_lock if the thread holds it for writing: the lock stores its writer."""
    mm = task["mm"]
    if int(mm) and int(mm["mmap_lock"]["owner"]) == int(task):
        yield Holding(task, int(mm["mmap_lock"].address), "MMAP_LOCK", "held for writing")


def in_fault(task: gdb.Value) -> collections.abc.Iterator[Holding]:
    """Yields the locks that the thread's current fault records as held."""
    fault = task["fault"]
    if not int(fault):
        return
    held = kernel.enum_name("fault_held", fault["held"], "HELD_")
    if held == "MMAP":
        yield Holding(task, int(fault["mm"]["mmap_lock"].address), "MMAP_LOCK", "held for reading")
    if held == "VMA":
        yield Holding(task, int(fault["locked_vma"]["vm_refcnt"].address), "VMA", "read-locked")
    if bool(fault["page_locked"]):
        yield Holding(task, int(fault["page"]), "PAGE", "held")


def owner_of(wait: "Wait") -> Holding | None:
    """
    Returns the holder of the lock that is waited for, if the lock stores it: a spinlock's CPU, a mutex's owner, a
    rwsem's writer.
    """
    if wait.spins:
        cpu = int(kernel.as_pointer(wait.lock, "struct spinlock")["owner"])
        return Holding(walk.task_on(cpu - 1), wait.lock, wait.rank, "held") if cpu else None
    owner = kernel.read_u64(wait.owner) if wait.owner else 0
    if not owner:
        return None
    how = "held for writing" if wait.what else "held"
    return Holding(kernel.as_pointer(owner, "struct task"), wait.lock, wait.rank, how)


def unknown_holders(lock: int, rank: str, holders: list[Holding]) -> str | None:
    """Returns a sentence about holders that the lock's count reveals but no record names, or None."""
    if kernel.is_debug():
        return None
    if rank == "PAGE" and not holders:
        return "its holder is not recorded: a thread outside of faults"
    readers = nr_readers(lock, rank) - len(holders)
    return (f"held for reading by {readers} more that {'is' if readers == 1 else 'are'} not recorded"
            if readers > 0 else None)


def nr_readers(lock: int, rank: str) -> int:
    if rank == "MMAP_LOCK":
        return (int(kernel.as_pointer(lock, "struct rwsem")["count"])
                // kernel.define("kernel/sync/rwsem.h", "RWSEM_READER"))
    return vmas.nr_readers(kernel.container(lock, "struct vma", "vm_refcnt")) if rank == "VMA" else 0
