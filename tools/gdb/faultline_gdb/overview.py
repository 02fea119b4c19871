# SPDX-License-Identifier: MIT
"""`faultline`: lists the commands, so that `help faultline` shows them."""

from . import command
from .command import Command, say


class Overview(Command):
    name, needs_machine = "faultline", False

    def __init__(self) -> None:
        rows = [(one.name, (one.__doc__ or "").strip().splitlines()[0])
                for one in command.ALL if "-attach" not in one.name]
        width = max(len(name) for name, _ in rows)
        self.__doc__ = "\n".join(["List the commands for looking at page faults.", "Usage: faultline", "",
                                  *(f"{name.ljust(width)}  {text}" for name, text in rows), "",
                                  "Each explains itself: help NAME. Each completes its arguments: TAB.",
                                  "docs/debugging.md has answers to questions, word for word."])
        super().__init__()

    def run(self, words: list[str]) -> None:
        self.at_most(words, 0)
        say(self.__doc__ or "")
