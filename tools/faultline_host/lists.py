# SPDX-License-Identifier: MIT
"""
The lists that the kernel's headers keep as X-macros (reasons, counters, lock ranks, race points), read from the
sources.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def rows(path: str, macro: str) -> list[list[str]]:
    """Returns the rows of X-macro list `macro` in a header, as lists of strings."""
    text = (ROOT / path).read_text()
    body = re.findall(r"#define " + macro + r"\(X(?:, \w+)?\)(.*?[^\\])\n", text, re.S)[0]
    body = re.sub(r"\\\n\s*", " ", body)
    found = []
    for match in re.finditer(r'X\(((?:[^()"]|"[^"]*"|\([^()]*\))*)\)', body):
        cells = re.findall(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*|[^\s,][^,]*', match.group(1))
        found.append([unquoted(cell) if '"' in cell else cell.strip() for cell in cells])
    return found


def unquoted(strings: str) -> str:
    """Joins adjacent string literals, as the compiler does."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', strings))
