# SPDX-License-Identifier: MIT
"""
The model of a fault that `why` uses: it simulates one attempt of one strategy on the current memory. An attempt ends
by raising End, where the kernel's would return. The strategies are in model_spec and model_locked, the kinds of fault
in model_kinds; each mirrors the file of the kernel that it names.
"""

import gdb

from . import kernel, memory, pages, places, walk

READ, WRITE, EXEC = "r", "w", "x"
WORDS = {READ: "read", WRITE: "write", EXEC: "execute"}


class End(Exception):
    """The end of an attempt: `how` is skip, answered, completed, gave up or retry."""

    def __init__(self, how: str, place: places.Place, sentence: str = "", reason: str | None = None,
                 answer: str = "FAULT_DONE") -> None:
        super().__init__(sentence)
        self.how, self.place, self.sentence, self.reason, self.answer = how, place, sentence, reason, answer


def gave_up(path: str, function: str, reason: str) -> End:
    return End("gave up", places.reason(path, function, reason), reason=reason)


def retry(path: str, function: str, reason: str) -> End:
    return End("retry", places.reason(path, function, reason), reason=reason)


def skip(path: str, function: str, reason: str) -> End:
    return End("skip", places.reason(path, function, reason), reason=reason)


def answered(path: str, function: str, text: str, sentence: str, answer: str = "FAULT_DONE") -> End:
    return End("answered", places.Place(path, function, text), sentence, answer=answer)


def refused(fault: "Fault", signal: str) -> str:
    """Returns a program's signal, or the error that the kernel returns to it."""
    return signal if fault.from_user else "EFAULT"


class Snapshot:
    """A snapshot of a VMA, as by fault_snapshot(): from the VMA, or from a fault that is under way."""

    start: int
    end: int
    flags: int
    pgoff: int
    anon_vma: int
    mapping: int
    ops: int

    def __init__(self, vma: gdb.Value) -> None:
        for name in ("start", "end", "flags", "pgoff", "anon_vma", "mapping", "ops"):
            setattr(self, name, int(vma[name]))
        self.ops_struct = vma["ops"]
        self.mapping_struct = vma["mapping"]

    def has(self, flag: str) -> bool:
        return bool(self.flags & kernel.define("mm/vma/vma.h", f"VM_{flag}"))

    def permits(self, access: str) -> bool:
        """Mirrors vma_permits(), without protection keys: those are the running thread's, which GDB cannot see."""
        if access == WRITE:
            return self.has("WRITE")
        return self.has("EXEC") if access == EXEC else bool(self.flags & kernel.define("mm/vma/vma.h", "VM_ACCESS"))

    @property
    def key(self) -> int:
        return (self.flags & kernel.define("mm/vma/vma.h", "VM_PKEY")) >> kernel.define("mm/vma/vma.h", "VM_PKEY_SHIFT")


class Mine:
    """The locks and pages that a fault under way has already: it does not wait for itself."""

    PAGE_READY = ("anon_page_ready", "cow_before_copy", "swap_claimed")

    def __init__(self, record: gdb.Value, point: str | None, cpu: int | None) -> None:
        self.holds = kernel.enum_name("fault_held", record["held"], "HELD_") in ("VMA", "MMAP")
        self.cpu, self.vma = cpu, record["locked_vma"]
        self.page = int(record["page"]) if record["page_locked"] else 0
        self.has_claimed = point == "swap_claimed" or point == "swap_before_commit" and not self.page
        self.has_new_page = point in self.PAGE_READY or self.has_claimed


class Nothing:
    """A fault that has not begun has no locks and no pages."""

    vma: gdb.Value  # of what it holds

    holds = has_claimed = has_new_page = False
    page, cpu = 0, None


class Fault:
    """One access at this moment."""

    notes: list[str]
    ptl: gdb.Value  # None while no table is known

    def __init__(self, mm: gdb.Value, address: int, access: str, from_user: bool, tried: bool = False,
                 mine: Mine | type[Nothing] = Nothing, is_own: bool = True) -> None:
        self.mm, self.address, self.access, self.from_user = mm, address & -kernel.PAGE_SIZE, access, from_user
        self.tried, self.mine, self.is_own = tried, mine, is_own
        self.notes = []
        self.vma: Snapshot = None  # type: ignore[assignment]  # until a strategy has found it
        self.taken = -1 if mine.has_new_page else 0
        self.pte, self.ptl, self.table = 0, None, False

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def takes_page(self) -> bool:
        """Takes a page; returns whether the selected CPU had one."""
        self.taken += 1
        return self.taken <= 0 or self.taken <= memory.at_hand(walk.selected_cpu())

    def pte_lock_is_busy(self) -> bool:
        """Returns whether another CPU has the PTE lock: a CPU in the middle of this fault has it for this fault."""
        owner = int(self.ptl["owner"])
        return owner != 0 and owner - 1 != self.mine.cpu

    def is_locked(self, page: gdb.Value) -> bool:
        """Returns whether another thread has the page lock."""
        return kernel.page_has(page, "PG_LOCKED") and int(page) != self.mine.page

    def pgoff(self) -> int:
        return self.vma.pgoff + ((self.address - self.vma.start) >> 12)

    def check_access(self) -> bool:
        if self.vma.key:
            self.note(f"the thread's rights to protection key {self.vma.key} are not looked at here: GDB "
                      "cannot see them")
        return self.vma.permits(self.access)

    def read_tables(self) -> str:
        """Mirrors pt_walk(): returns TABLE with the entry read, NONE, or UPPER for everything else."""
        steps = list(walk.walk(self.mm, self.address))
        last = steps[-1]
        if last.level == 1:
            self.table, self.pte, self.ptl = True, last.value, walk.table_page(steps[-2].value)["ptl"]
            self.ptep = last.place
            self.pmd = steps[-2].value
            return "TABLE"
        self.table, self.pte, self.ptl = False, 0, None
        return "NONE" if last.level == 2 and not last.value else "UPPER"


    def entry_at(self, index: int) -> int:
        """Returns the entry for another page of the mapping in the same page table, 0 without a table."""
        return kernel.read_u64(self.ptep + (index - self.pgoff()) * kernel.WORD) if self.table else 0


class Strategy:
    """The operations that the kinds of fault call on a strategy. Each raises End, or returns."""

    name = ""

    def skip(self, fault: Fault) -> None:
        """Raises End if the strategy would not be tried."""

    def enter(self, fault: Fault) -> None:
        raise NotImplementedError

    def no_memory(self, fault: Fault) -> None:
        raise NotImplementedError

    def walk(self, fault: Fault) -> None:
        raise NotImplementedError

    def lock_pte(self, fault: Fault) -> None:
        raise NotImplementedError

    def need_anon_vma(self, fault: Fault) -> None:
        raise NotImplementedError

    def may_call_ops(self, fault: Fault) -> None:
        raise NotImplementedError

    def may_read_swap(self, fault: Fault) -> None:
        raise NotImplementedError

    def wait_page(self, fault: Fault) -> None:
        raise NotImplementedError

    def wait_request(self, fault: Fault) -> None:
        raise NotImplementedError

    def need_page(self, fault: Fault) -> None:
        """Mirrors fault_page_get()."""
        if not fault.takes_page():
            fault.note(memory.describe(walk.selected_cpu()))
            self.no_memory(fault)


def lock_holder(lock: gdb.Value) -> str:
    return pages.lock_owner(lock)
