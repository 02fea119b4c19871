# SPDX-License-Identifier: MIT
"""
Finds what each thread waits for. A sleeping thread has a waiter on its stack, linked into a wait queue, and the owner
of that queue is what it waits for. A thread that waits for a lock records the lock, in both kernels. A spinning CPU
records the lock that it spins for, or waits for the acknowledgements of a shootdown.
"""

import collections.abc
import gdb

from . import holdings, kernel, stack, walk


class Wait:
    """
    One wait. `lock` is 0 if it is not for a lock; then `blockers` are the tasks that must act. `owner` is the address
    where the lock stores its owner, or 0; `spins` is set if a CPU waits for a spinlock.
    """

    def __init__(self, task: gdb.Value, lock: int, rank: str, what: str,
                 blockers: collections.abc.Iterable[gdb.Value | None] = (), owner: int = 0,
                 spins: bool = False) -> None:
        self.task, self.lock, self.rank, self.what, self.blockers = task, lock, rank, what, list(blockers)
        self.owner, self.spins = owner, spins


def all_waits() -> collections.abc.Iterator[Wait]:
    for task in walk.all_tasks():
        cpu = walk.cpu_running(task)
        yield from sleeping_waits(task) if cpu is None else spinning_waits(task, cpu)


# --- Asleep ----------------------------------------------------------------------------------------------------------

def waiters_on_stack(task: gdb.Value) -> collections.abc.Iterator[int]:
    """Yields the addresses of structures that name the task and are linked into a list."""
    low, high = int(task["kernel_rsp"]), int(task["stack_top"])
    if not low < high:
        return
    to_thread = kernel.offset_of("struct waiter", "thread")
    words = memoryview(kernel.read_bytes(low, high - low)).cast("Q")
    for index, word in enumerate(words):
        link = low + index * kernel.WORD - to_thread
        if word == int(task) and link >= low and is_linked(link):
            yield link


def is_linked(link: int) -> bool:
    """Returns whether it is part of a list with other members."""
    try:
        following = kernel.read_u64(link)
        return following != link and kernel.read_u64(following + kernel.WORD) == link
    except gdb.MemoryError:
        return False


def head_of(link: int, stacks: list[tuple[int, int]]) -> int:
    """Returns the list's head: the element that is on no thread's stack."""
    for _ in range(1000):
        link = kernel.read_u64(link)
        if not any(low <= link < high for low, high in stacks):
            return link
    return 0


def sleeping_waits(task: gdb.Value) -> collections.abc.Iterator[Wait]:
    stacks = [(int(other["kernel_rsp"]), int(other["stack_top"])) for other in walk.all_tasks()]
    for link in waiters_on_stack(task):
        head = head_of(link, stacks)
        if head:
            yield lock_wait(task, link) if int(task["waits"]["lock"]) else event_wait(task, head)


def event_wait(task: gdb.Value, head: int) -> Wait:
    names = (name for name in stack.names(task) if name not in stack.PLUMBING)
    return Wait(task, 0, "", f"an event ({kernel.function_name(head) or 'a queue'}), in {next(names, '?')}")


def lock_wait(task: gdb.Value, link: int) -> Wait:
    """Returns the wait for the lock that the thread has recorded (kernel/sync/lockdep.h); its waiter tells the mode."""
    wait = task["waits"]
    lock, owner = int(wait["lock"]), int(wait["owner"])
    rank = kernel.enum_name("lock_rank", wait["rank"], "RANK_")
    if rank == "PAGE" and holdings.is_with_device(lock):
        return Wait(task, 0, "", f"I/O on page frame {kernel.pfn_of_page(lock):#x}")
    if rank == "VMA":
        return Wait(task, lock, rank, "for writing")
    if owner - lock != kernel.offset_of("struct rwsem", "owner"):
        return Wait(task, lock, rank, "", owner=owner)
    writer = bool(kernel.as_pointer(link, "struct rwsem_waiter")["writer"])
    return Wait(task, lock, rank, "for writing" if writer else "for reading", owner=owner)


# --- Awake -----------------------------------------------------------------------------------------------------------

def spinning_waits(task: gdb.Value, cpu: int) -> collections.abc.Iterator[Wait]:
    lock = kernel.per_cpu(kernel.static("kernel/sync/spinlock.c", "spins_for"), cpu)
    if int(lock) and int(lock["owner"]) != cpu + 1:
        yield Wait(task, int(lock), kernel.enum_name("lock_rank", lock["rank"], "RANK_"), "", spins=True)
    with stack.on_cpu(cpu):
        for frame in stack.frames():
            if frame.name() == "machine_tlb_shootdown":
                yield from acknowledgements(task, cpu)
            elif frame.name() == "race_hit":
                yield Wait(task, 0, "", f"the release of race point {race_point_of(frame)}")


def acknowledgements(task: gdb.Value, cpu: int) -> collections.abc.Iterator[Wait]:
    waiting = int(kernel.per_cpu(kernel.static("kernel/x86/smp.c", "tlb_requests"), cpu)["waiting"])
    late = [other for other in range(kernel.nr_cpus()) if waiting >> other & 1]
    if late:
        yield Wait(task, 0, "", "acknowledgements of a shootdown from CPU " + ", ".join(map(str, late)),
                   [walk.task_on(other) for other in late])


def race_point_of(frame: gdb.Frame) -> str:
    return kernel.enum_name("race_point_id", frame.read_var("id"), "RACE_")
