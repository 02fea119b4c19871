# SPDX-License-Identifier: MIT
"""`locks`: who holds which lock, who waits for it, and whether they wait for each other in a circle."""

import gdb

from . import kernel, stack, waits, walk
from .command import Command, say


class Holding:
    """Somebody has a lock."""

    def __init__(self, task, lock, rank, how):
        self.task, self.lock, self.rank, self.how = task, lock, rank, how


def rank_name(rank):
    return kernel.enum_name("lock_rank", rank, "RANK_")


def held_entries(held):
    for index in range(int(held["depth"])):
        entry = held["held"][index]
        yield int(entry["lock"]), rank_name(entry["rank"])


def sleeping_lock_mode(lock, rank, task):
    if rank == "VMA":
        return "read-locked"
    if rank == "MMAP_LOCK":
        writer = int(kernel.as_pointer(lock, "struct rwsem")["owner"])
        return "held for writing" if writer == int(task) else "held for reading"
    return "held"


def holdings():
    """What everybody holds: sleeping locks belong to threads, spinlocks to CPUs."""
    for task in walk.all_tasks():
        for lock, rank in held_entries(task["held"]):
            yield Holding(task, lock, rank, sleeping_lock_mode(lock, rank, task))
    lists = kernel.static("kernel/spinlock.c", "spins_held")
    for cpu in range(kernel.nr_cpus()):
        for lock, rank in held_entries(kernel.per_cpu(lists, cpu)):
            yield Holding(walk.task_on(cpu), lock, rank, "held")


# --- Names -----------------------------------------------------------------------------------------------------------

def vma_of_lock(lock):
    return kernel.container(lock, "struct vma", "vm_refcnt")


def lock_name(lock, rank):
    """What a lock guards, as far as that can be told from where it lies."""
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
    """Who waits for whom, as of now."""

    def __init__(self):
        self.holdings = list(holdings())
        self.waits = list(waits.all_waits(self.holdings))
        self.tasks = {int(task): task for task in walk.all_tasks()}

    def locks(self):
        """(lock, rank) of everything held or waited for, in the order of the ranks."""
        order = list(kernel.enum("lock_rank"))
        found = {one.lock: one.rank for one in [*self.waits, *self.holdings] if one.lock}
        return sorted(found.items(), key=lambda item: (order.index(f"RANK_{item[1]}"), item[0]))

    def holders(self, lock):
        return [one for one in self.holdings if one.lock == lock]

    def blockers(self, wait):
        """The tasks that a wait is for."""
        return [one.task for one in self.holders(wait.lock)] if wait.lock else wait.blockers

    def cycles(self):
        """Lists of waits, each of which is for the task of the next, the last for that of the first."""
        found = []
        for wait in self.waits:
            for cycle in self._from(wait, []):
                tasks = {int(one.task) for one in cycle}
                if tasks not in [set(int(one.task) for one in other) for other in found]:
                    found.append(cycle)
        return found

    def _from(self, wait, path):
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

    Only the debug kernel keeps the lists that this reads.
    """

    name = "locks"

    def run(self, words):
        self.at_most(words, 0)
        if not any(field.name == "held" for field in kernel.type_named("struct task").fields()):
            raise gdb.GdbError("locks: a release kernel does not keep lists of what is held: run without --release.")
        graph = Graph()
        for lock, rank in graph.locks():
            self.show(graph, lock, rank)
        for wait in graph.waits:
            if not wait.lock:
                say(f"{walk.task_name(wait.task)} waits for {wait.what}")
        if not graph.locks() and not graph.waits:
            say("Nobody holds a lock.")
        for cycle in graph.cycles():
            self.show_cycle(graph, cycle)

    def show(self, graph, lock, rank):
        say(lock_name(lock, rank))
        for holding in graph.holders(lock):
            say(f"  {holding.how} by {who(holding.task)}")
        for wait in graph.waits:
            if wait.lock == lock:
                say(f"  wanted {wait.what} by {who(wait.task)}")

    def show_cycle(self, graph, cycle):
        say("CYCLE: " + "; ".join(f"{walk.task_name(wait.task)} waits for "
                                  f"{lock_name(wait.lock, wait.rank) if wait.lock else wait.what}" for wait in cycle)
            + ". Nobody of them will ever go on.")


def show_waits_of(task):
    """What one thread waits for, and who has it."""
    graph = Graph()
    for wait in graph.waits:
        if int(wait.task) != int(task):
            continue
        if not wait.lock:
            say(f"  It waits for {wait.what}.")
            continue
        say(f"  It waits for {lock_name(wait.lock, wait.rank)}{' ' + wait.what if wait.what else ''}:")
        for holding in graph.holders(wait.lock):
            say(f"    {holding.how} by {who(holding.task)}")


def who(task):
    cpu = walk.cpu_running(task)
    return f"{walk.task_name(task)}, {'on CPU ' + str(cpu) if cpu is not None else 'asleep'}: {stack.summary(task, cpu)}"
