# SPDX-License-Identifier: MIT
"""
The kinds of fault in the model of `why`, the same for all strategies. Mirrors mm/fault/fault_kind.c, fault_anon.c,
fault_mapping.c, fault_around.c, fault_wp.c and fault_swap.c. Each kind ends by raising End.
"""

import gdb

from . import kernel, swap, walk
from .command import counted
from .model import EXEC, WRITE, End, Fault, Strategy, answered, refused
from .model_locked import OUT_OF_MEMORY

COMMIT, MAPPING, AROUND = "mm/fault/fault_commit.c", "mm/fault/fault_mapping.c", "mm/fault/fault_around.c"
WRITE_PROTECT, SWAP, KIND, PAGE_IO = ("mm/fault/fault_wp.c", "mm/fault/fault_swap.c", "mm/fault/fault_kind.c",
                                      "mm/fault/fault_page_io.c")


def handle(strategy: Strategy, fault: Fault) -> None:
    """Mirrors fault_handle()."""
    strategy.walk(fault)
    kind = walk.pte_kind(fault.pte)
    if kind == "NONE":
        mapping(strategy, fault) if fault.vma.ops else anon(strategy, fault)
    elif kind == "SWAP":
        swapped(strategy, fault)
    elif fault.access == WRITE and has(fault, "PRESENT") and not has(fault, "WRITE"):
        write_protected(strategy, fault)
    strategy.lock_pte(fault)
    raise answered(KIND, "nothing_to_do", "count(spurious_faults)",
                   "nothing to do: the entry permits the access by now")


def has(fault: Fault, bit: str) -> bool:
    return bool(fault.pte & walk.pte_bit(bit))


def permits(pte: int, access: str) -> bool:
    """Mirrors pte_permits(): returns whether the entry permits the access, so that the CPU does not fault."""
    if not pte & walk.pte_bit("PRESENT"):
        return False
    return (bool(pte & walk.pte_bit("WRITE")) if access == WRITE else
            not pte & walk.pte_bit("NX") if access == EXEC else True)


# --- Private memory --------------------------------------------------------------------------------------------------

def anon(strategy: Strategy, fault: Fault) -> None:
    if fault.access != WRITE:
        strategy.lock_pte(fault)
        raise answered(COMMIT, "fault_map_zero_page", "pte_fill", "the shared zero page is mapped, read-only")
    strategy.need_anon_vma(fault)
    strategy.need_page(fault)
    strategy.lock_pte(fault)
    raise answered(COMMIT, "fault_map_own_page", "pte_fill", "a new page, cleared, is mapped writable")


# --- Pages of a mapping ----------------------------------------------------------------------------------------------

class Cache:
    """The pages of a mapping, as mapping_tree.c stores them."""

    def __init__(self, mapping: gdb.Value) -> None:
        self.mapping = mapping
        self.bits = kernel.define("mm/cache/mapping_tree.c", "SLOT_BITS")

    def nr_pages(self) -> int:
        return (int(self.mapping["size"]) + kernel.PAGE_SIZE - 1) // kernel.PAGE_SIZE

    def entry(self, index: int) -> int:
        """Returns the slot's entry: 0, a page, or a value with its lowest bit set."""
        node = self.mapping["root"].cast(kernel.type_named("struct mapping_node").pointer())
        if not int(node) or index >> self.bits * int(node["level"]):
            return 0
        while int(node):
            entry = node["slots"][index >> (int(node["level"]) - 1) * self.bits & (1 << self.bits) - 1]["entry"]
            if int(node["level"]) == 1:
                return int(entry)
            node = entry.cast(node.type)
        return 0

    def page(self, index: int) -> gdb.Value | None:
        """Returns the page of the slot, or None."""
        entry = self.entry(index)
        return kernel.as_pointer(entry, "struct page") if entry and not entry & 1 else None

    def value(self, index: int) -> int | None:
        """Returns the swap slot that has the mapping's page, or None."""
        entry = self.entry(index)
        return entry >> 1 if entry & 1 else None

    def may_be_mapped(self, index: int) -> bool:
        """Mirrors may_be_mapped() in fault_around.c."""
        page = self.page(index)
        return page is not None and kernel.page_has(page, "PG_UPTODATE") and kernel.page_has(page, "PG_CACHE") and \
            not any(kernel.page_has(page, flag) for flag in ("PG_LOCKED", "PG_ERROR", "PG_SET_ASIDE"))


def mapping(strategy: Strategy, fault: Fault) -> None:
    if fault.access != WRITE:
        read_fault(strategy, fault)
    elif fault.vma.has("SHARED"):
        shared_fault(strategy, fault)
    else:
        cow_fault(strategy, fault)


def window(fault: Fault) -> range:
    """Returns the pages that fault_map_around() examines, as indices of the mapping."""
    number = int(kernel.variable("sysctl_fault_around_bytes")) // kernel.PAGE_SIZE
    if number > 1 and int(fault.vma.mapping_struct["misses"]) > kernel.define(AROUND, "LOTS_OF_MISSES"):
        number = 1
    place = walk.table_index(fault.address, 1)
    in_vma = (fault.address - fault.vma.start) // kernel.PAGE_SIZE
    in_all = (fault.vma.end - fault.vma.start) // kernel.PAGE_SIZE
    first = max(place // number * number, place - min(place, in_vma))
    last = min(first + number, 512, place + in_all - in_vma) - 1
    return range(fault.pgoff() + first - place, fault.pgoff() + last - place + 1)


def read_fault(strategy: Strategy, fault: Fault) -> None:
    if int(fault.vma.ops_struct["map_pages"]):
        map_around(strategy, fault)
    strategy.may_call_ops(fault)
    find_page(strategy, fault)
    strategy.lock_pte(fault)
    raise answered(COMMIT, "fault_map_page", "pte_fill", "the mapping's page is mapped")


def map_around(strategy: Strategy, fault: Fault) -> None:
    cache = Cache(fault.vma.mapping_struct)
    around = [index for index in window(fault) if index < cache.nr_pages() and cache.may_be_mapped(index)]
    if not around:
        return
    strategy.lock_pte(fault)
    number = sum(not fault.entry_at(index) for index in around)
    if fault.pgoff() in around:
        raise answered(AROUND, "mapping_map_pages", "MEANS_CACHED", f"{number} cached pages are mapped, this one among "
                       "them" if number > 1 else "the cached page is mapped")
    if number:
        fault.note(f"maps {counted(number, 'cached page')} around this one, which "
                   f"{why_not_cached(cache.page(fault.pgoff()))}")


def why_not_cached(page: gdb.Value | None) -> str:
    if page is None:
        return "is not cached"
    return "is locked" if kernel.page_has(page, "PG_LOCKED") else "is cached, but not used yet" \
        if kernel.page_has(page, "PG_SET_ASIDE") else "was not read yet"


def find_page(strategy: Strategy, fault: Fault) -> None:
    if not int(fault.vma.ops_struct["fault"]):
        raise answered(MAPPING, "find_page", "FAULT_BEYOND_END",
                       f"{refused(fault, 'SIGBUS')}: the object has no pages to give", "FAULT_BEYOND_END")
    cache = Cache(fault.vma.mapping_struct)
    if fault.pgoff() >= cache.nr_pages():
        raise answered(MAPPING, "find_page_of_mapping", "FAULT_BEYOND_END",
                       f"{refused(fault, 'SIGBUS')}: beyond the end of the object", "FAULT_BEYOND_END")
    page = cache.page(fault.pgoff())
    if page is not None and kernel.page_has(page, "PG_UPTODATE"):
        return
    if page is None:
        make_page(strategy, fault, cache)
        if not int(fault.vma.mapping_struct["ops"]):
            fault.note("makes a page of zeros for the hole")
            return
    fault.note("has the page read from its file system")
    strategy.wait_page(fault)


def make_page(strategy: Strategy, fault: Fault, cache: Cache) -> None:
    """Mirrors find_missed_page(): shared memory may be in swap; any other mapping gets a new page."""
    value = cache.value(fault.pgoff())
    if value is not None:
        in_swap(strategy, fault, value)
    if not fault.takes_page():
        raise answered(MAPPING, "answer_to", "FAULT_OUT_OF_MEMORY", OUT_OF_MEMORY, "FAULT_OUT_OF_MEMORY")


def in_swap(strategy: Strategy, fault: Fault, value: int) -> None:
    """Mirrors fault_swapped_shmem()."""
    number, offset = swap.number_of(value)
    area = dict(swap.areas()).get(number)
    state, pfn = swap.slot_state(area, offset) if area is not None else (0, 0)
    fault.note(f"the page of shared memory is in swap: area {number}, slot {offset}")
    page = kernel.page_of_pfn(pfn) if swap.is_held(state) and pfn else None
    busy = page is not None and (fault.is_locked(page) or kernel.page_has(page, "PG_WRITEBACK"))
    if page is None and swap.requests_are_out():
        strategy.wait_request(fault)
    if busy or page is None and area is not None and swap.device_of(area)["async"]:
        strategy.wait_page(fault)
    raise answered("mm/fault/fault_shmem.c", "put_slot_back", "FAULT_IO_ERROR",
                   "the page is put back into the mapping; the access faults again, and finds it")


def cow_fault(strategy: Strategy, fault: Fault) -> None:
    strategy.may_call_ops(fault)
    strategy.need_anon_vma(fault)
    find_page(strategy, fault)
    strategy.need_page(fault)
    strategy.lock_pte(fault)
    raise answered(COMMIT, "fault_map_own_page", "pte_fill", "a copy of the mapping's page is mapped writable")


def shared_fault(strategy: Strategy, fault: Fault) -> None:
    strategy.may_call_ops(fault)
    find_page(strategy, fault)
    page = Cache(fault.vma.mapping_struct).page(fault.pgoff())
    if int(fault.vma.mapping_struct["ops"]):
        notify_file_system(strategy, fault, page)
    strategy.lock_pte(fault)
    raise unless_throttled(fault, page, answered(COMMIT, "fault_map_page", "pte_fill",
                                                 "the mapping's page is mapped writable"))


def notify_file_system(strategy: Strategy, fault: Fault, page: gdb.Value | None) -> None:
    """Mirrors fault_page_mkwrite()."""
    if page is not None and fault.is_locked(page):
        fault.note(f"page frame {kernel.pfn_of_page(page):#x} is locked (`locks` says by whom)")
        strategy.wait_page(fault)
    fault.note("tells the file system of the write, with the page locked")


def unless_throttled(fault: Fault, page: gdb.Value | None, end: End) -> End:
    """
    Returns `end`, or completed if too many pages are dirty: the writer sets the entry, drops its lock and waits for the
    flusher.
    """
    if not int(fault.vma.mapping_struct["ops"]):
        return end
    fs = fault.vma.mapping_struct["host"].cast(kernel.type_named("struct faultfs_file").pointer())["fs"]
    number = int(fs["nr_dirty"].cast(kernel.type_named("s64"))) + (
        page is None or not kernel.page_has(page, "PG_DIRTY"))
    if number <= int(fs["dirty_limit"]):
        return end
    fault.note(f"{number} pages of the file system are dirty, more than {int(fs['dirty_limit'])}: drops the lock "
               "and waits for the flusher")
    return End("completed", end.place, end.args[0])


# --- Writing to what is mapped read-only -----------------------------------------------------------------------------

def write_protected(strategy: Strategy, fault: Fault) -> None:
    if fault.vma.has("SHARED"):
        page = kernel.page_of_pfn(walk.frame(fault.pte) >> 12)
        if int(fault.vma.mapping_struct["ops"]):
            strategy.may_call_ops(fault)
            notify_file_system(strategy, fault, page)
        strategy.lock_pte(fault)
        raise unless_throttled(fault, page, answered(COMMIT, "fault_make_writable", "PTE_WRITE",
                                                     "shared: the entry becomes writable"))
    strategy.need_anon_vma(fault)
    private_write(strategy, fault)


def private_write(strategy: Strategy, fault: Fault) -> None:
    if has(fault, "SPECIAL"):
        strategy.need_page(fault)
        strategy.lock_pte(fault)
        raise answered(COMMIT, "fault_replace_page", "pte_fill", "a new page, cleared, takes the zero page's place")
    strategy.lock_pte(fault)
    page = kernel.page_of_pfn(walk.frame(fault.pte) >> 12)
    if is_last_owner(page):
        raise answered(COMMIT, "fault_make_writable", "PTE_WRITE",
                       "the last owner keeps its page: the entry becomes writable")
    strategy.need_page(fault)
    anon = kernel.page_has(page, "PG_ANON")
    raise answered(COMMIT, "fault_replace_page", "pte_fill", "a copy takes the page's place: "
                   + ("others have it too" if anon else "it is of a mapping")
                   + f" ({counted(page['refcount'], 'reference')}, mapped {counted(page['mapcount'], 'time')})")


def is_last_owner(page: gdb.Value) -> bool:
    """Mirrors is_last_owner(): a swap slot that no entry names any more drops its reference first."""
    if not kernel.page_has(page, "PG_ANON"):
        return False
    references = int(page["refcount"])
    if kernel.page_has(page, "PG_SWAPCACHE") and not kernel.page_has(page, "PG_LOCKED"):
        number, offset = swap.number_of(int(page["private"]))
        state, _ = swap.slot_state(dict(swap.areas())[number], offset)
        references -= not swap.entries(state) and not kernel.page_has(page, "PG_WRITEBACK")
    return references == 1


# --- Swap ------------------------------------------------------------------------------------------------------------

def swapped(strategy: Strategy, fault: Fault) -> None:
    number, offset = walk.swap_slot(fault.pte)
    strategy.need_anon_vma(fault)
    area = dict(swap.areas()).get(number)
    if area is None:
        raise answered(SWAP, "fault_swap", "swap_area_get", "the area is going away: the access faults again")
    state, pfn = swap.slot_state(area, offset)
    fault.note(f"area {number}, slot {offset}: {swap.describe_slot(state, pfn)}")
    if swap.is_held(state) and pfn:
        cached(strategy, fault, area, offset, kernel.page_of_pfn(pfn))
    strategy.may_read_swap(fault)
    read(strategy, fault, area, state)


def read(strategy: Strategy, fault: Fault, area: gdb.Value, state: int) -> None:
    synchronous = not swap.device_of(area)["async"]
    if synchronous and swap.entries(state) == 1:
        strategy.need_page(fault)
        if swap.is_held(state) and not fault.mine.has_claimed:
            raise answered(SWAP, "swap_in", "look_again",
                           "waits for the thread that claimed the slot and reads the page: the access faults again, "
                           "and finds it")
        strategy.lock_pte(fault)
        raise answered(SWAP, "read_claimed", "fault_map_swapped_page",
                       "the page is read past the swap cache, and mapped")
    strategy.need_page(fault)
    begin_read(strategy, fault)
    if not synchronous:
        strategy.wait_page(fault)
    commit(strategy, fault, only_owner=swap.entries(state) == 1)


def begin_read(strategy: Strategy, fault: Fault) -> None:
    """Mirrors fault_read_swap(): a read takes one of the requests for swap, or waits for one."""
    if swap.requests_are_out():
        strategy.wait_request(fault)
    fault.note("starts to read the page into the swap cache, with its neighbours")


def cached(strategy: Strategy, fault: Fault, area: gdb.Value, offset: int, page: gdb.Value) -> None:
    if fault.is_locked(page):
        fault.note(f"page frame {kernel.pfn_of_page(page):#x} is locked (`locks` says by whom)")
        strategy.wait_page(fault)
    elif not kernel.page_has(page, "PG_UPTODATE"):
        strategy.may_read_swap(fault)
        raise answered(SWAP, "drop_unread_page", "look_again",
                       "the page could not be read: it is dropped, the access faults again, and reads it anew")
    only_owner = not int(page["mapcount"]) and swap.entries(swap.slot_state(area, offset)[0]) == 1
    commit(strategy, fault, only_owner)


def commit(strategy: Strategy, fault: Fault, only_owner: bool) -> None:
    strategy.lock_pte(fault)
    if fault.access == WRITE and not only_owner:
        fault.note("maps the page read-only, since it may be shared, and continues as with any shared page: a copy")
        raise answered(WRITE_PROTECT, "private_write", "is_last_owner", "the page of the swap cache is mapped, "
                       "then copied for writing unless this is its only reference by then")
    raise answered(SWAP, "map_locked_page", "fault_map_swapped_page", "the page of the swap cache is mapped")
