# SPDX-License-Identifier: MIT
"""
The two pictures of a life, and the check that they are complete: each function that writes an entry is named, each kind
of entry and each LRU list is shown.
"""

import collections.abc
import re
import sys

from . import diagram, names

FUNCTION = re.compile(r"^\w[\w \t*]*?(\w+)\([^;{}]*\)\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
WRITES = re.compile(r"\b(?:pte_fill|pte_fill_settled|pte_set|pte_xchg|pte_cas|pte_set_bits|pte_clear_bits|"
                    r"tlb_batch_take)\(")


def entry_writers() -> set[str]:
    """Returns the functions that change a page-table entry of a program."""
    return {name for path, text in names.sources().items() if path.startswith("mm/") and path.endswith(".c")
            for name, body in FUNCTION.findall(text) if WRITES.search(body)}


def complain(picture: str, what: str, missing: collections.abc.Iterable[str]) -> None:
    if found := ", ".join(sorted(missing)):
        sys.exit(f"docs/pictures/{picture}.toml shows not all {what}: {found}")


def entry(data: diagram.Table | None = None) -> str:
    data = data or diagram.load("entry")
    shown = {name for arrow in data["arrow"] for name in arrow.get("names", [])} | set(data["without"])
    complain("entry", "functions that write an entry", entry_writers() - shown)
    if unknown := set(data["without"]) - entry_writers():
        sys.exit(f"docs/pictures/entry.toml: {', '.join(sorted(unknown))} writes no entry")
    svg = diagram.draw("entry", data)
    complain("entry", "kinds of entry", (kind for kind in names.members("pte_kind") if kind not in svg))
    return svg


def page(data: diagram.Table | None = None) -> str:
    svg = diagram.draw("page", data)
    lists = (name for name in names.members("lru_list") if not name.startswith("NR_"))
    complain("page", "LRU lists", (name for name in lists if name not in svg))
    return svg
