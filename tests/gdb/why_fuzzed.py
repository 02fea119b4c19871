# SPDX-License-Identifier: MIT
"""
Tests `why` against the events of a fuzzed address space, fault after fault. At the start of each fault, GDB predicts
every attempt, up to the one that ends the fault or waits; the events of the attempts must then match. There is one CPU,
so no other changes what was examined in between. On the way, the script asks about each kind of entry that occurs: all
kinds, but for an address without a table, which not every policy's run has (tests/gdb/states.py asks about one).
"""

import collections

import gdb

from faultline_gdb import events, kernel, walk, why
from harness import Told, check, failures, finish, frame_value, in_its_own_words, run_to, this_task

FAULTS = 300
seen: collections.Counter[str] = collections.Counter()
compared: list[walk.Found | None] = []


def foretell() -> list[Told] | None:
    """
    Returns [(strategy, end, reason or answer)] of the coming attempts; None if they depend on what GDB cannot see.
    """
    access = why.ACCESS[kernel.enum_name("fault_access", frame_value("access"))]
    from_user = bool(int(frame_value("flags")) & kernel.enum("fault_flag")["FAULT_USER"])
    attempts = why.predict(frame_value("mm"), int(frame_value("addr")), access, from_user)
    if any("protection key" in note for one in attempts for note in one.notes):
        return None
    return [(one.strategy, one.how, one.reason or one.answer.removeprefix("FAULT_").lower())
            for one in attempts if one.how != "skip"]


def come(count: int, tid: int) -> list[Told]:
    """Returns the next attempts of the thread; checks the VMA of those that answer with a page."""
    found: list[Told] = []
    while len(found) < count:
        run_to("event_attempt", lambda: int(this_task()["tid"]) == tid)
        found.append(events.attempt_words(frame_value("f")))
        if found[-1][1:] == ("answered", "done"):
            compare_vma(frame_value("f"))
        if found[-1][1] != "gave up":
            break
    return found


def compare_vma(fault: gdb.Value) -> None:
    """Checks that `why` finds the same VMA for the address as the kernel."""
    seen_by_kernel = (int(fault["vma"]["start"]), int(fault["vma"]["end"]))
    said = walk.find_vma(fault["mm"], int(fault["address"]))
    if not said or (said.start, said.end) != seen_by_kernel:
        bounds = f"{said.start:#x}-{said.end:#x}" if said else "none"
        check(f"the VMA of {int(fault['address']):#x}", False,
              f"foretold {bounds}, the kernel's {[hex(one) for one in seen_by_kernel]}")
    compared.append(said)


def ask_and_compare() -> None:
    tid = int(this_task()["tid"])
    asked = f"{gdb.newest_frame()}: {int(frame_value('access'))} {int(frame_value('addr')):#x}"
    foretold = foretell()
    if foretold is None:
        return
    happened = come(len(foretold), tid)
    if happened != foretold:
        check(f"as foretold: {asked}", False, f"foretold {foretold}\nhappened {happened}")
    for one in happened:
        seen[" ".join(one)] += 1


def ask_about_entries(mm: gdb.Value) -> None:
    """Runs the commands about an address, once for each new kind of entry in the address space."""
    for found in walk.vmas(mm):
        for address in range(found.start, min(found.end, found.start + 64 * kernel.PAGE_SIZE), kernel.PAGE_SIZE):
            *_, last = walk.walk(mm, address)
            kind = kind_of(last.value) if last.level == 1 else "no table"
            if kind not in entries:
                entries.add(kind)
                strange = [one for question in ("ptwalk {}", "page {}", "why {}", "why {} w", "why {} x",
                                                "why {} w kernel")
                           if (one := in_its_own_words(question.format(hex(address))))]
                check(f"asked about an entry: {kind}", not strange, "\n".join(strange))


def kind_of(value: int) -> str:
    if walk.pte_kind(value) != "PAGE":
        return walk.pte_kind(value)
    special = [word for bit, word in (("SPECIAL", "zero"), ("PROTNONE", "without access"), ("WRITE", "writable"))
               if value & walk.pte_bit(bit)]
    return " ".join(["page", *special])


entries: set[str] = set()
run_to("main")
for number in range(FAULTS):
    run_to("fault_in")
    if number % 10 == 0:
        ask_about_entries(frame_value("mm"))
    ask_and_compare()
for what, count in seen.most_common():
    print(f"{count:5} {what}")
check(f"{sum(seen.values())} attempts of {FAULTS} faults went as foretold, in {len(seen)} ways",
      not failures and sum(seen.values()) >= FAULTS and len(seen) >= 4)
check(f"{len(compared)} pages came into the VMA that was named", len(compared) >= FAULTS // 4)
wanted = {"NONE", "SWAP", "page", "page zero", "page writable"}
check(f"every kind of entry was met: {wanted}", wanted <= entries, str(entries))
finish()
