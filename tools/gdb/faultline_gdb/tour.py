# SPDX-License-Identifier: MIT
"""
`tour`: guided walks through a fault. A tour is a text file in tools/gdb/tours/: lines that begin with "> " are
commands, which are shown and run; lines that begin with "= " are regular expressions that the last command's output
must match (checked every time); "---" waits for Enter; "#" begins a comment. All other lines are text.
"""

import os
import re
import sys
import typing

import gdb

from . import kernel
from .command import Command, say

PLACE = os.path.join(kernel.ROOT, "tools", "gdb", "tours")


def names() -> list[str]:
    return sorted(name.removesuffix(".tour") for name in os.listdir(PLACE) if name.endswith(".tour"))


def lines_of(name: str) -> list[str]:
    with open(os.path.join(PLACE, f"{name}.tour"), encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if not line.startswith("#")]


def start_with(name: str) -> str:
    return f"tools/faultline run --gdb --deterministic --cpus 3 --swap 1M build/user/tour {name}"


class Tour(Command):
    """
    Walk through a fault, guided: the tour goes from stop to stop, shows what is to be seen, and explains it.
    Usage: tour [NAME]

    Without a name: the tours there are. Each begins in a machine that has just been started for it:
    tools/faultline run --gdb --deterministic --cpus 3 --swap 1M build/user/tour NAME
    """

    name, needs_machine = "tour", False  # the list of tours needs none

    def choices(self, words: list[str]) -> list[str]:
        return names() if not words else []

    def run(self, words: list[str]) -> None:
        self.at_most(words, 1)
        if not words:
            self.show_all()
            return
        if words[0] not in names():
            self.wrong(f"tour: there is no tour “{words[0]}”. There are: {', '.join(names())}.")
        self.want_machine()
        self.want_debug()
        if gdb.lookup_static_symbol("curtain") is None:
            raise gdb.GdbError("tour: this machine runs another program. Leave GDB, and start with\n"
                               f"  {start_with(words[0])}")
        if any(stop.is_valid() and stop.enabled and stop.visible for stop in gdb.breakpoints()):
            raise gdb.GdbError("tour: there are breakpoints already, at which it would stop too. delete removes them.")
        Walk(words[0]).go()

    def show_all(self) -> None:
        for name in names():
            say(f"{name.ljust(16)}{lines_of(name)[0]}")
        say(f"To take one: {start_with('NAME')}\nand then: tour NAME")


class Walk:
    def __init__(self, name: str) -> None:
        self.name, self.said, self.command = name, "", ""

    def go(self) -> None:
        for line in lines_of(self.name):
            if line.startswith("> "):
                self.do(line[2:])
            elif line.startswith("= "):
                self.compare(line[2:])
            elif line == "---":
                self.wait()
            else:
                say(line)

    def do(self, command: str) -> None:
        say(f"(gdb) {command}")
        try:
            self.command, self.said = command, gdb.execute(command, to_string=True)
        except gdb.error:
            if gdb.selected_thread() is not None:
                raise
            self.said = ""
        say(self.said.rstrip())
        if gdb.selected_thread() is None:
            self.give_up("the program has ended.")
        if command in ("continue", "finish"):  # GDB itself prints where it has stopped
            self.said += gdb.execute("frame", to_string=True)

    def compare(self, pattern: str) -> None:
        if not re.search(pattern, self.said, re.MULTILINE):
            self.give_up(f"`{self.command}` should have said “{pattern}”.")

    def give_up(self, what: str) -> typing.NoReturn:
        raise gdb.GdbError(f"tour: {what} A tour wants a machine that has just been started for it, and nothing else "
                           f"done in it. Leave GDB, and start with\n  {start_with(self.name)}")

    def wait(self) -> None:
        if not sys.stdin.isatty():
            return
        try:
            input("        [Enter continues] ")
        except EOFError:
            raise gdb.GdbError("\ntour: left.") from None
