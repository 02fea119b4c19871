# SPDX-License-Identifier: MIT
"""The base class of the commands: parses and completes their arguments, and reports errors."""

import inspect
import re
import typing

import gdb

from . import kernel, walk

ALL: "list[Command]" = []


class Command(gdb.Command):
    """
    A command is a subclass with `name`, a docstring (its help: first a line that says what it does, then its usage),
    run(words), and choices(words), which returns the completions after the words typed so far. `needs_machine` is False
    if the command works without a machine.
    """

    name, needs_machine = "", True

    def __init__(self) -> None:
        self.__doc__ = inspect.cleandoc(self.__doc__ or "")
        super().__init__(self.name, gdb.COMMAND_DATA)
        ALL.append(self)

    def invoke(self, text: str, from_tty: bool) -> None:
        self.dont_repeat()
        if self.needs_machine:
            self.want_machine()
        try:
            self.run(text.split())
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"{self.name}: {error}. Either the kernel has not set its memory up yet (continue a "
                               "little), or it is changing what was being read.") from error
        except (gdb.error, OSError) as error:
            raise gdb.GdbError(f"{self.name}: {str(error).rstrip('.')}.") from error

    def complete(self, text: str, word: str | None) -> list[str]:
        words = text.split()
        if word and words:
            words.pop()
        return [choice for choice in self.choices(words) if choice.startswith(word or "")]

    def choices(self, words: list[str]) -> list[str]:
        return []

    def run(self, words: list[str]) -> None:
        raise NotImplementedError

    def want_machine(self) -> None:
        if gdb.selected_thread() is None:
            raise gdb.GdbError(f"{self.name}: no machine is attached, or it has ended. tools/faultline run --gdb "
                               "PROGRAM starts one.")

    def want_debug(self) -> None:
        if not kernel.is_debug():
            raise gdb.GdbError(f"{self.name}: this release kernel has no place of its own to stop at; run "
                               "without --release.")

    def wrong(self, what: str) -> typing.NoReturn:
        usage = [line for line in (self.__doc__ or "").splitlines() if line.startswith("Usage: ")]
        raise gdb.GdbError(f"{what}\n{usage[0]}")

    def at_most(self, words: list[str], count: int) -> None:
        if len(words) > count:
            extra = "one argument" if len(words) == count + 1 else f"{len(words) - count} arguments"
            self.wrong(f"{self.name}: “{' '.join(words[count:])}” is {extra} too many.")

    def number(self, word: str, what: str) -> int:
        if not re.fullmatch(r"\d+|0[xX][0-9a-fA-F]+", word):
            self.wrong(f"{self.name}: “{word}” is not {what}.")
        return int(word, 0) if word[:2] in ("0x", "0X") else int(word)

    def address(self, text: str, what: str = "an address") -> int:
        """Returns the value of a GDB expression that is an address: a number, a pointer, an array, &something."""
        try:
            value = gdb.parse_and_eval(text)
            code = value.type.strip_typedefs().code
            if code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_FUNC):
                value = value.address
            elif code == gdb.TYPE_CODE_INT and value.address is not None:
                say(f"({text} is a variable with the value {int(value):#x}; it lies at &{text})")
            return int(value) & (1 << 64) - 1
        except (gdb.error, TypeError) as error:
            reason = "it lies nowhere in memory" if isinstance(error, TypeError) else str(error).rstrip(".")
            self.wrong(f"{self.name}: “{text}” is not {what}: {reason}.")

    def mm(self, word: str | None = None) -> tuple[gdb.Value, gdb.Value]:
        """Returns (mm, process) of process `word`, or of the program on the selected CPU."""
        if word is None:
            task = walk.selected_task()
            if not task or not int(task["mm"]):
                raise gdb.GdbError(f"{self.name}: CPU {walk.selected_cpu()} runs no program just now. Name a process ("
                                   f"{', '.join(pids()) or 'there is none yet'}), or choose another CPU "
                                   "with `thread N`.")
            return task["mm"], task["process"]
        pid = self.number(word, "the number of a process")
        for process in walk.processes():
            if int(process["pid"]) == pid:
                mm = walk.process_mm(process)
                if mm is None:
                    raise gdb.GdbError(f"{self.name}: process {pid} has no address space: it is a kernel thread "
                                       "or has ended.")
                return mm, process
        raise gdb.GdbError(f"{self.name}: there is no process {pid}. There are: {', '.join(pids()) or 'none yet'}.")


def pids() -> list[str]:
    return [str(int(process["pid"])) for process in walk.processes() if walk.process_mm(process) is not None]


def say(text: str = "") -> None:
    print(text)


def table(rows: list[list[str]]) -> None:
    """Prints rows of strings in aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def counted(number: gdb.Value | int, noun: str) -> str:
    return f"{int(number)} {noun}{'s' if int(number) != 1 else ''}"


def size(nr_pages: int) -> str:
    kib = nr_pages * (kernel.PAGE_SIZE // 1024)
    return f"{kib} KiB" if kib < 10240 else f"{kib // 1024} MiB"
