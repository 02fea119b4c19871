# SPDX-License-Identifier: MIT
"""
The per-VMA lock and mmap_lock in the model of `why`. Mirrors mm/fault/strategy_vma.c, mm/fault/strategy_mmap.c and
mm/fault/fault_locked.c.
"""

import typing

import gdb

from . import kernel, vmas, walk
from .model import Fault, Snapshot, Strategy, answered, gave_up, lock_holder, refused, retry, skip

VMA_FILE, MMAP_FILE, SHARED_FILE = "mm/fault/strategy_vma.c", "mm/fault/strategy_mmap.c", "mm/fault/fault_locked.c"
OUT_OF_MEMORY = "out of memory: a process is killed unless pages can be reclaimed, then the access faults again"


def no_access(fault: Fault) -> str:
    return f"{refused(fault, 'SIGSEGV, SEGV_ACCERR')}: the VMA does not permit it"


class Locked(Strategy):
    """The common part: page tables cannot vanish, so the fault may build missing ones, and it may wait for locks."""

    def walk(self, fault: Fault) -> None:
        fault.read_tables()

    def may_read_swap(self, fault: Fault) -> None:
        pass

    def no_memory(self, fault: Fault) -> None:
        raise answered(SHARED_FILE, "fault_no_memory_locked", "FAULT_OUT_OF_MEMORY", OUT_OF_MEMORY,
                       "FAULT_OUT_OF_MEMORY")

    def lock_pte(self, fault: Fault) -> None:
        if not fault.table:
            fault.note("builds the page table that is missing")
        elif fault.pte_lock_is_busy():
            fault.note(f"waits for the PTE lock, which is {lock_holder(fault.ptl)}")


class PerVma(Locked):
    name = "vma"

    def skip(self, fault: Fault) -> None:
        if not fault.from_user:
            raise skip(VMA_FILE, "vma_skip", "vma_lock_skip_not_user")

    def enter(self, fault: Fault) -> None:
        if fault.mine.holds:
            self.check(fault, fault.mine.vma)
            return
        found = walk.find_vma(fault.mm, fault.address)
        if found is None:
            self.found_nothing(fault)
        self.lock(fault, found.vma)

    def found_nothing(self, fault: Fault) -> typing.NoReturn:
        above = walk.find_vma_from(fault.mm, fault.address)
        if above is not None and Snapshot(above.vma).has("GROWSDOWN"):
            raise gave_up(VMA_FILE, "found_nothing", "vma_lock_abort_stack")
        raise gave_up(VMA_FILE, "found_nothing", "vma_lock_miss")

    def lock(self, fault: Fault, vma: gdb.Value) -> None:
        """Mirrors vma_start_read()."""
        if self.is_write_locked(fault, vma):
            raise gave_up(VMA_FILE, "vma_find_and_lock", "vma_lock_abort_write_locked")
        self.check(fault, vma)

    def check(self, fault: Fault, vma: gdb.Value) -> None:
        """Checks a locked VMA: it does not change, even if a writer waits."""
        fault.vma = Snapshot(vma)
        if not fault.vma.start <= fault.address < fault.vma.end:
            raise gave_up(VMA_FILE, "vma_enter", "vma_lock_abort_outside")
        if not fault.check_access():
            raise answered(VMA_FILE, "vma_enter", "fault_check_access", no_access(fault), "FAULT_NO_ACCESS")

    def is_write_locked(self, fault: Fault, vma: gdb.Value) -> bool:
        bar = kernel.define("mm/vma/vma.h", "VMA_WRITER_BAR")
        return int(vma["vm_lock_seq"]) == int(fault.mm["mm_lock_seq"]) or bool(int(vma["vm_refcnt"]) & bar)

    def need_anon_vma(self, fault: Fault) -> None:
        if fault.vma.anon_vma:
            return
        busy = (kernel.define("kernel/sync/rwsem.h", "RWSEM_WRITER")
                | kernel.define("kernel/sync/rwsem.h", "RWSEM_WAITERS"))
        if int(fault.mm["mmap_lock"]["count"]) & busy:
            fault.note(f"mmap_lock is {vmas.mmap_lock_state(fault.mm)}")
            raise gave_up(VMA_FILE, "vma_need_anon_vma", "vma_lock_abort_anon_vma")
        fault.note("makes an anon_vma for the VMA, with mmap_lock tried for reading")

    def may_call_ops(self, fault: Fault) -> None:
        if not fault.vma.ops_struct["without_mmap_lock"]:
            raise gave_up(VMA_FILE, "vma_may_call_ops", "vma_lock_abort_file_ops")

    def wait_page(self, fault: Fault) -> None:
        wait(fault, "page", VMA_FILE, "vma_wait", "vma_lock_retry_page")

    def wait_request(self, fault: Fault) -> None:
        wait(fault, "request for swap", VMA_FILE, "vma_wait", "vma_lock_retry_swap_request")


class MmapLock(Locked):
    name = "mmap"

    def enter(self, fault: Fault) -> None:
        self.lock(fault)
        found = walk.find_vma_from(fault.mm, fault.address)
        if fault.is_own and found is not None and fault.address < found.start and Snapshot(found.vma).has("GROWSDOWN"):
            self.grow_stack(fault, found)
        if found is None or fault.address < found.start:
            raise answered(MMAP_FILE, "mmap_find_and_lock", "FAULT_NO_MAPPING",
                           f"{refused(fault, 'SIGSEGV, SEGV_MAPERR')}: no VMA covers the address", "FAULT_NO_MAPPING")
        fault.vma = Snapshot(found.vma)
        if not fault.check_access():
            raise answered(MMAP_FILE, "mmap_enter", "fault_check_access", no_access(fault), "FAULT_NO_ACCESS")

    def lock(self, fault: Fault) -> None:
        busy = (kernel.define("kernel/sync/rwsem.h", "RWSEM_WRITER")
                | kernel.define("kernel/sync/rwsem.h", "RWSEM_WAITERS"))
        if int(fault.mm["mmap_lock"]["count"]) & busy and not fault.mine.holds:
            fault.note(f"first waits for mmap_lock, which is {vmas.mmap_lock_state(fault.mm)} (`locks` says by "
                       "whom); what it finds then may be different")

    def grow_stack(self, fault: Fault, found: walk.Found) -> None:
        if not may_grow(fault, found):
            raise answered(MMAP_FILE, "grow_stack", "FAULT_NO_MAPPING",
                           f"{refused(fault, 'SIGSEGV, SEGV_MAPERR')}: the stack above may not grow so far down",
                           "FAULT_NO_MAPPING")
        raise retry(MMAP_FILE, "grow_stack", "mmap_retry_stack")

    def need_anon_vma(self, fault: Fault) -> None:
        if not fault.vma.anon_vma:
            fault.note("makes an anon_vma for the VMA")

    def may_call_ops(self, fault: Fault) -> None:
        pass

    def wait_page(self, fault: Fault) -> None:
        wait(fault, "page", MMAP_FILE, "mmap_wait", "mmap_retry_page")

    def wait_request(self, fault: Fault) -> None:
        wait(fault, "request for swap", MMAP_FILE, "mmap_wait", "mmap_retry_swap_request")


def wait(fault: Fault, what: str, path: str, function: str, reason: str) -> None:
    """Mirrors fault_wait_locked(): drops the lock and waits the first time, then waits with the lock held."""
    if not fault.tried:
        raise retry(path, function, reason)
    fault.note(f"waits for the {what}, holding its lock")


def may_grow(fault: Fault, found: walk.Found) -> bool:
    """Mirrors vma_expand_stack(), for the limits that can be looked up: the size of the stack, and the gap below."""
    if found.end - fault.address > int(fault.mm["rlimit_stack"]):
        return False
    below = [one for one in walk.vmas(fault.mm) if one.end <= found.start]
    if not below:
        return True
    last = Snapshot(below[-1].vma)
    if fault.address < last.end:
        return False
    gap = kernel.define("mm/vma/vma.h", "STACK_GUARD_GAP")
    return (last.has("GROWSDOWN") or not last.flags & kernel.define("mm/vma/vma.h", "VM_ACCESS")
            or fault.address - last.end >= gap)
