# SPDX-License-Identifier: MIT
"""
What each thread waits for. A thread that sleeps has a waiter on its stack, linked into a wait queue; whose queue that is
tells what it waits for. A CPU that spins stands in spin_lock_slow(), or waits for a shootdown's acknowledgements.
"""

import gdb

from . import kernel, stack, walk


class Wait:
    """`lock` is 0 for what is no lock; then `blockers` are the tasks that it is for."""

    def __init__(self, task, lock, rank, what, blockers=()):
        self.task, self.lock, self.rank, self.what, self.blockers = task, lock, rank, what, list(blockers)


def all_waits(holdings):
    for task in walk.all_tasks():
        cpu = walk.cpu_running(task)
        yield from sleeping_waits(task, holdings) if cpu is None else spinning_waits(task, cpu)


# --- Asleep ----------------------------------------------------------------------------------------------------------

def waiters_on_stack(task):
    """The addresses of structs that name the task and hang in a list."""
    low, high = int(task["kernel_rsp"]), int(task["stack_top"])
    if not low < high:
        return
    to_thread = kernel.offset_of("struct waiter", "thread")
    words = memoryview(kernel.read_bytes(low, high - low)).cast("Q")
    for index, word in enumerate(words):
        link = low + index * kernel.WORD - to_thread
        if word == int(task) and link >= low and is_linked(link):
            yield link


def is_linked(link):
    """Is it part of a list with more than itself?"""
    try:
        following = kernel.read_u64(link)
        return following != link and kernel.read_u64(following + kernel.WORD) == link
    except gdb.MemoryError:
        return False


def head_of(link, stacks):
    """The list's head: what lies on nobody's stack."""
    for _ in range(1000):
        link = kernel.read_u64(link)
        if not any(low <= link < high for low, high in stacks):
            return link
    return 0


def sleeping_waits(task, holdings):
    names = stack.names(task)
    stacks = [(int(other["kernel_rsp"]), int(other["stack_top"])) for other in walk.all_tasks()]
    for link in waiters_on_stack(task):
        head = head_of(link, stacks)
        if head:
            yield from named_wait(task, link, head, names, holdings)


def named_wait(task, link, head, names, holdings):
    if "rwsem_wait" in names:
        writer = bool(kernel.as_pointer(link, "struct rwsem_waiter")["writer"])
        sem = head - kernel.offset_of("struct rwsem", "queue") - kernel.offset_of("struct wait_queue", "waiters")
        rank = rank_of(kernel.as_pointer(sem, "struct rwsem")["rank"])
        yield Wait(task, sem, rank, "for writing" if writer else "for reading")
    elif "mutex_lock" in names:
        mutex = head - kernel.offset_of("struct mutex", "queue") - kernel.offset_of("struct wait_queue", "waiters")
        yield Wait(task, mutex, rank_of(kernel.as_pointer(mutex, "struct mutex")["rank"]), "")
    elif is_page_queue(head):
        yield from page_wait(task, int(kernel.as_pointer(link, "struct waiter")["key"]), holdings)
    elif waits_for_readers(names):
        yield from writer_wait(task)
    else:
        yield Wait(task, 0, "", f"an event ({kernel.function_name(head) or 'a queue'}), in {names_outside(names)}")


def rank_of(rank):
    return kernel.enum_name("lock_rank", rank, "RANK_")


def names_outside(names):
    return next((name for name in names if name not in stack.PLUMBING), "?")


def is_page_queue(head):
    queues = kernel.static("mm/page_lock.c", "queues")
    return int(queues.address) <= head < int(queues.address) + queues.type.sizeof


def page_wait(task, page, holdings):
    """A locked page whose lock nobody holds is being read or written: the device has it."""
    if any(one.lock == page for one in holdings):
        yield Wait(task, page, "PAGE", "")
    else:
        yield Wait(task, 0, "", f"I/O on page frame {kernel.pfn_of_page(page):#x}")


def waits_for_readers(names):
    return any(name.startswith(("start_write", "drain_readers", "vma_start_write")) for name in names)


def writer_wait(task):
    """A writer that has barred a VMA waits for the readers inside it."""
    bar = kernel.define("mm/vma.h", "VMA_WRITER_BAR")
    mm = task["mm"]
    for found in walk.vmas(mm):
        if int(found.vma["vm_refcnt"]) & bar:
            yield Wait(task, int(found.vma["vm_refcnt"].address), "VMA", "for writing")


# --- Awake -----------------------------------------------------------------------------------------------------------

def spinning_waits(task, cpu):
    with stack.on_cpu(cpu):
        for frame in stack.frames():
            if frame.name() == "spin_lock_slow":
                lock = frame.read_var("lock")
                yield Wait(task, int(lock), rank_of(lock["rank"]), "")
            elif frame.name() == "machine_tlb_shootdown":
                yield from acknowledgements(task, cpu)
            elif frame.name() == "race_hit":
                yield Wait(task, 0, "", f"the release of race point {race_point_of(frame)}")


def acknowledgements(task, cpu):
    waiting = int(kernel.per_cpu(kernel.static("kernel/x86/smp.c", "tlb_requests"), cpu)["waiting"])
    late = [other for other in range(kernel.nr_cpus()) if waiting >> other & 1]
    if late:
        yield Wait(task, 0, "", "acknowledgements of a shootdown from CPU " + ", ".join(map(str, late)),
                   [walk.task_on(other) for other in late])


def race_point_of(frame):
    return kernel.enum_name("race_point_id", frame.read_var("id"), "RACE_")
