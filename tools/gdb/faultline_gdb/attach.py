# SPDX-License-Identifier: MIT
"""
Attaches GDB to a machine: loads the symbols of kernel and program, and stops at the kernel's first 64-bit instruction.
The symbols of a static PIE are put where the kernel is expected to load it; the first stop with the program in memory
checks that.
"""

import struct

import gdb

from . import kernel, walk
from .command import Command, say
from .ending import Ending

ET_DYN, PT_LOAD, AT_NULL, AT_ENTRY = 3, 1, 0, 9


class Program:
    """The data of an ELF file that place its symbols where it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            data = file.read()
        self.type, self.entry = struct.unpack_from("<H", data, 16)[0], struct.unpack_from("<Q", data, 24)[0]
        offset, = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        headers = [struct.unpack_from("<IIQQQQQQ", data, offset + size * n) for n in range(count)]
        loads = [header for header in headers if header[0] == PT_LOAD]
        self.low = min((header[3] & -kernel.PAGE_SIZE for header in loads), default=0)
        self.align = max([kernel.PAGE_SIZE, *(header[7] for header in loads)])
        self.bias = self.expected_bias()

    def expected_bias(self) -> int:
        """Returns the load bias that load() in kernel/process/elf.c chooses."""
        if self.type != ET_DYN:
            return 0
        base = kernel.define("kernel/process/elf.c", "ELF_ET_DYN_BASE")
        return (base + self.align - 1) // self.align * self.align - self.low

    def add_symbols(self) -> None:
        gdb.execute(f"add-symbol-file '{self.path}' -o {self.bias:#x}", to_string=True)

    def move_to(self, bias: int) -> None:
        gdb.execute(f"remove-symbol-file '{self.path}'", to_string=True)
        self.bias = bias
        self.add_symbols()


class Comparison:
    """Checks, at the first stop with a program in memory, that it is loaded where its symbols are."""

    def __init__(self, program: Program) -> None:
        self.program = program
        gdb.events.stop.connect(self.stopped)

    def stopped(self, event: gdb.StopEvent) -> None:
        try:
            entry = program_entry()
        except (gdb.error, gdb.GdbError):
            return  # too early: the kernel has no memory yet
        if entry is None:
            return
        gdb.events.stop.disconnect(self.stopped)
        if entry != self.program.entry + self.program.bias:
            self.program.move_to(entry - self.program.entry)
            say(f"{self.program.path} is loaded at {self.program.bias:#x}: its symbols were moved there.")


def program_entry() -> int | None:
    """Returns the entry point of the first program, from its auxiliary vector; None before it is loaded."""
    process = next(iter(walk.processes()), None)
    mm = walk.process_mm(process) if process is not None else None
    if mm is None:
        return None
    words = [int(word) for word in kernel.array_of(mm["auxv"])]
    return dict(zip(words[::2], words[1::2])).get(AT_ENTRY)


class Attach(Command):
    """
    Attach to a machine that tools/faultline has started, with the symbols of kernel and program.
    Usage: faultline-attach SOCKET [PROGRAM]

    Stops at the kernel's first 64-bit instruction. tools/faultline run --gdb PROGRAM does this by itself.
    """

    name, needs_machine = "faultline-attach", False

    def run(self, words: list[str]) -> None:
        if not words:
            self.wrong("faultline-attach: which socket?")
        self.at_most(words, 2)
        program = Program(words[1]) if len(words) > 1 else None
        if program:
            program.add_symbols()
            if program.type == ET_DYN:
                Comparison(program)
        gdb.execute(f"target remote {words[0]}", to_string=True)
        entry = gdb.Breakpoint("kernel_start64", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        entry.silent = True
        gdb.execute("continue", to_string=True)
        entry.delete()
        Ending()
        say("Stopped at the kernel's first 64-bit instruction; each thread is a CPU. `help faultline` lists the "
            "commands;\n"
            "`break main` and `continue` go to the program.")
