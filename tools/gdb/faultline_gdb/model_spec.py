# SPDX-License-Identifier: MIT
"""
Speculation in the model of `why`. Mirrors mm/fault/strategy_speculative.c, from the start, or from the current point
of a fault that is under way.
"""

import gdb

from . import kernel, walk
from .model import WRITE, Fault, Snapshot, Strategy, gave_up, lock_holder, skip

FILE = "mm/fault/strategy_speculative.c"
# Race points of an attempt in their order: a thread that is stopped at one has passed those before.
POINTS = ("spec_after_find", "spec_after_sample", "spec_after_snapshot", "spec_before_walk", "spec_after_walk",
          "spec_before_ptl", "spec_before_trylock", "spec_after_ptl")


class Speculative(Strategy):
    name = "spec"

    def skip(self, fault: Fault) -> None:
        if not fault.from_user:
            raise skip(FILE, "spec_skip", "spf_skip_not_user")
        if int(fault.mm["users"]) == 1 and not int(kernel.variable("spf_single_thread")):
            raise skip(FILE, "spec_skip", "spf_skip_single_thread")

    def enter(self, fault: Fault) -> None:
        vma = self.find_and_sample(fault)
        fault.vma = Snapshot(vma)
        self.may_speculate(fault)

    def find_and_sample(self, fault: Fault) -> gdb.Value:
        mm_wide = int(kernel.variable("spf_validate")) == kernel.enum("spf_validate")["SPF_VALIDATE_MM"]
        if mm_wide and int(fault.mm["mm_lock_seq"]) & 1:
            raise gave_up(FILE, "sample_mm", "spf_abort_odd_count")
        found = walk.find_vma(fault.mm, fault.address)
        if found is None:
            raise gave_up(FILE, "find_and_sample", "spf_abort_no_vma")
        if not mm_wide:
            self.sample_vma(fault, found.vma)
        return found.vma

    def sample_vma(self, fault: Fault, vma: gdb.Value) -> None:
        if int(vma["vm_lock_seq"]) == int(fault.mm["mm_lock_seq"]):
            raise gave_up(FILE, "sample_vma", "spf_abort_odd_count")
        if not int(vma["vm_refcnt"]):
            raise gave_up(FILE, "sample_vma", "spf_abort_no_vma")

    def may_speculate(self, fault: Fault) -> None:
        ops = fault.vma.ops
        if ops and not fault.vma.ops_struct["speculative"]:
            raise gave_up(FILE, "may_speculate", "spf_abort_file_ops")
        if ops and fault.access == WRITE:
            raise gave_up(FILE, "may_speculate", "spf_abort_file_write")
        if fault.vma.has("GROWSDOWN"):
            raise gave_up(FILE, "may_speculate", "spf_abort_growing")
        if not fault.vma.start <= fault.address < fault.vma.end:
            raise gave_up(FILE, "may_speculate", "spf_abort_outside")
        if not fault.check_access():
            raise gave_up(FILE, "may_speculate", "spf_abort_access")

    def walk(self, fault: Fault) -> None:
        state = fault.read_tables()
        if state == "NONE":
            raise gave_up(FILE, "spec_walk", "spf_abort_pmd_none")
        if state != "TABLE":
            raise gave_up(FILE, "spec_walk", "spf_abort_upper_table")

    def need_anon_vma(self, fault: Fault) -> None:
        if not fault.vma.anon_vma:
            raise gave_up(FILE, "spec_need_anon_vma", "spf_abort_no_anon_vma")

    def may_call_ops(self, fault: Fault) -> None:
        raise gave_up(FILE, "spec_may_call_ops", "spf_abort_page_not_cached")

    def may_read_swap(self, fault: Fault) -> None:
        raise gave_up(FILE, "spec_may_read_swap", "spf_abort_swap_not_cached")

    def wait_page(self, fault: Fault) -> None:
        raise gave_up(FILE, "spec_wait", "spf_abort_swap_page_locked")

    def no_memory(self, fault: Fault) -> None:
        raise gave_up(FILE, "spec_no_memory", "spf_abort_no_memory")

    def lock_pte(self, fault: Fault) -> None:
        if fault.pte_lock_is_busy():
            fault.note(f"the PTE lock is {lock_holder(fault.ptl)}")
            raise gave_up(FILE, "spec_lock_table", "spf_abort_ptl_busy")


class UnderWay:
    """The rest of a speculative attempt that has stopped in the middle."""

    def __init__(self, record: gdb.Value, point: str | None, found: gdb.Value | None) -> None:
        """A point that is not one of speculation's own belongs to the kind of fault, which follows the walk."""
        own = point if point in POINTS else "spec_after_walk"
        self.record, self.passed, self.found = record, POINTS.index(own), found

    def is_before(self, point: str) -> bool:
        """Returns whether the attempt has yet to pass the point. A thread that is stopped at it has not."""
        return self.passed <= POINTS.index(point)

    def changed(self) -> bool:
        return int(self.record["count"].dereference()) != int(self.record["sequence"])

    def pmd_changed(self) -> bool:
        return int(self.record["pmdp"]["val"]) != int(self.record["orig_pmd"]["val"])

    def check(self, strategy: Speculative, fault: Fault) -> None:
        """Runs the remaining checks in order; returns if none that can be evaluated now ends the attempt."""
        if self.passed == POINTS.index("spec_after_find"):
            self.check_found(strategy, fault)
            return
        if self.is_before("spec_after_snapshot"):
            if self.changed():
                raise gave_up(FILE, "spec_enter", "spf_abort_changed_reading")
            return
        if self.is_before("spec_after_walk"):
            if self.changed():
                raise gave_up(FILE, "spec_lock_table", "spf_abort_changed_before_ptl")
        if self.passed < POINTS.index("spec_after_walk"):
            return
        self.check_lock(strategy, fault)

    def check_found(self, strategy: Speculative, fault: Fault) -> None:
        """Handles an attempt that has found the VMA, and samples it next."""
        if self.found is None:
            return
        strategy.sample_vma(fault, self.found)
        fault.vma = Snapshot(self.found)
        strategy.may_speculate(fault)

    def check_lock(self, strategy: Speculative, fault: Fault) -> None:
        if self.is_before("spec_before_ptl") and self.pmd_changed():
            raise gave_up(FILE, "spec_lock_table", "spf_abort_pmd_changed")
        if self.is_before("spec_before_trylock"):
            fault.read_tables()
            if fault.ptl is not None:
                strategy.lock_pte(fault)
        if self.pmd_changed():
            raise gave_up(FILE, "check_under_lock", "spf_abort_pmd_changed")
        if self.changed():
            raise gave_up(FILE, "check_under_lock", "spf_abort_changed_after_ptl")
