# SPDX-License-Identifier: MIT
"""
Finds the source line of a decision, by the function's name and a piece of its text, so that the line is right even if
code moves. It is an error if the text is not found: then `why` is older than the kernel.
"""

import re

import gdb

from . import kernel


class Place:
    def __init__(self, path: str, function: str, text: str) -> None:
        self.path, self.function, self.text = path, function, text

    def line(self) -> int:
        lines = kernel.source(self.path).splitlines()
        begin = next((number for number, line in enumerate(lines) if re.match(rf"\w.*\b{self.function}\(", line)
                      and not line.rstrip().endswith(";")), None)
        if begin is None:
            raise gdb.GdbError(f"why is older than the kernel: {self.path} has no {self.function}()")
        end = lines.index("}", begin)
        for number in range(begin, end):
            if self.text in lines[number]:
                return number + 1
        raise gdb.GdbError(f"why is older than the kernel: {self.function}() in {self.path} has no “{self.text}”")

    def __str__(self) -> str:
        return f"{self.path}:{self.line()} in {self.function}()"


def reason(path: str, function: str, name: str) -> Place:
    """Returns the place where an attempt ends for a reason."""
    return Place(path, function, f"REASON_{name}")
