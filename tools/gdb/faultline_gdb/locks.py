# SPDX-License-Identifier: MIT
"""`locks`: shows the holders of each lock, its waiters, and deadlock cycles."""

import collections.abc

import gdb

from . import holdings, kernel, stack, waits, walk
from .command import Command, say


# --- Names -----------------------------------------------------------------------------------------------------------

def vma_of_lock(lock: int) -> gdb.Value:
    return kernel.container(lock, "struct vma", "vm_refcnt")


def lock_name(lock: int, rank: str) -> str:
    """Names what a lock protects, as far as its address tells."""
    if rank == "MMAP_LOCK":
        return f"mmap_lock of {walk.mm_name(kernel.container(lock, 'struct mm', 'mmap_lock'))}"
    if rank == "VMA":
        vma = vma_of_lock(lock)
        return f"VMA {int(vma['start']):#x}-{int(vma['end']):#x} of {walk.mm_name(vma['mm'])}"
    if rank == "PAGE":
        return f"page lock of frame {kernel.pfn_of_page(lock):#x}"
    if rank in ("PTE", "PMD"):
        page = kernel.container(lock, "struct page", "ptl")
        return f"{rank} lock of a page table of {walk.mm_name(page['mm'])} (frame {kernel.pfn_of_page(page):#x})"
    return f"{kernel.function_name(lock) or 'lock'} (rank {rank}, {lock:#x})"


# --- The graph -------------------------------------------------------------------------------------------------------

class Graph:
    """The current graph of waits and holders."""

    def __init__(self) -> None:
        self.waits = list(waits.all_waits())
        self.holdings = list(holdings.holdings(self.waits))
        self.tasks = {int(task): task for task in walk.all_tasks()}

    def locks(self) -> list[tuple[int, str]]:
        """Returns (lock, rank) of every lock that is held or waited for, ordered by rank."""
        order = list(kernel.enum("lock_rank"))
        known: list[waits.Wait | holdings.Holding] = [*self.waits, *self.holdings]
        found = {one.lock: one.rank for one in known if one.lock}
        return sorted(found.items(), key=lambda item: (order.index(f"RANK_{item[1]}"), item[0]))

    def holders(self, lock: int) -> list[holdings.Holding]:
        return [one for one in self.holdings if one.lock == lock]

    def blockers(self, wait: waits.Wait) -> list[gdb.Value]:
        """Returns the tasks that block a wait."""
        return [one.task for one in self.holders(wait.lock)] if wait.lock else wait.blockers

    def cycles(self) -> list[list[waits.Wait]]:
        """
        Returns lists of waits, in each of which a wait is for the task of the next one, and the last for that of the
        first.
        """
        found: list[list[waits.Wait]] = []
        for wait in self.waits:
            for cycle in self._from(wait, []):
                tasks = {int(one.task) for one in cycle}
                if tasks not in [set(int(one.task) for one in other) for other in found]:
                    found.append(cycle)
        return found

    def _from(self, wait: waits.Wait, path: list[waits.Wait]) -> collections.abc.Iterator[list[waits.Wait]]:
        if path and int(wait.task) == int(path[0].task):
            yield path
            return
        if any(int(wait.task) == int(one.task) for one in path):
            return
        for blocker in self.blockers(wait):
            for onward in self.waits:
                if int(onward.task) == int(blocker):
                    yield from self._from(onward, [*path, wait])


class Locks(Command):
    """
    Show every lock that somebody holds or waits for, in lock order, and circles of threads that wait for each other.
    Usage: locks

    The debug kernel records every held lock. The release kernel does not: there the command shows the locks that store
    their owner, those that a fault has recorded, and those that a thread waits for; the last line says so.
    """

    name = "locks"

    def run(self, words: list[str]) -> None:
        self.at_most(words, 0)
        graph = Graph()
        for lock, rank in graph.locks():
            self.show(graph, lock, rank)
        for wait in graph.waits:
            if not wait.lock:
                say(f"{walk.task_name(wait.task)} waits for {wait.what}")
        if not graph.locks() and not graph.waits:
            say("No thread holds a lock." if kernel.is_debug() else "No lock is known to be held.")
        for cycle in graph.cycles():
            self.show_cycle(graph, cycle)
        if not kernel.is_debug():
            say(holdings.LIMITS)

    def show(self, graph: Graph, lock: int, rank: str) -> None:
        say(lock_name(lock, rank))
        show_holders(graph, lock, rank, "  ")
        for wait in graph.waits:
            if wait.lock == lock:
                say(f"  wanted {wait.what + ' ' if wait.what else ''}by {who(wait.task)}")

    def show_cycle(self, graph: Graph, cycle: list[waits.Wait]) -> None:
        say("CYCLE: " + "; ".join(f"{walk.task_name(wait.task)} waits for "
                                  f"{lock_name(wait.lock, wait.rank) if wait.lock else wait.what}" for wait in cycle)
            + ". None of them can continue.")


def show_waits_of(task: gdb.Value) -> None:
    """Prints what one thread waits for, and the holders."""
    graph = Graph()
    for wait in graph.waits:
        if int(wait.task) != int(task):
            continue
        if not wait.lock:
            say(f"  It waits for {wait.what}.")
            continue
        say(f"  It waits for {lock_name(wait.lock, wait.rank)}{' ' + wait.what if wait.what else ''}:")
        show_holders(graph, wait.lock, wait.rank, "    ")


def show_holders(graph: Graph, lock: int, rank: str, indent: str) -> None:
    holders = graph.holders(lock)
    for holding in holders:
        say(f"{indent}{holding.how} by {who(holding.task)}")
    unknown = holdings.unknown_holders(lock, rank, holders)
    if unknown:
        say(f"{indent}{unknown}")


def who(task: gdb.Value) -> str:
    cpu = walk.cpu_running(task)
    return (f"{walk.task_name(task)}, {'on CPU ' + str(cpu) if cpu is not None else 'asleep'}: "
            f"{stack.summary(task, cpu)}")
