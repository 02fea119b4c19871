# SPDX-License-Identifier: MIT
"""
Reads stacks: those of CPUs, which GDB unwinds, and those of sleeping threads, whose frames are linked by the frame
pointers that the kernel keeps.
"""

import collections.abc
import gdb

from . import kernel, unwind, walk

DEPTH = 40
SHOWN = 4
# The functions at the end of every sleep and every busy wait: they say nothing about the cause.
PLUMBING = ("switch_stacks", "switch_context", "schedule", "thread_sleep", "finish_switch", "cpu_relax")
LABEL = ".@"  # local labels of the assembler, inside a macro
# Exceptions that the kernel's own code causes: no interrupts.
EXCEPTIONS = ("page_fault_kernel", "exception", "exception_critical")


def place(pc: int) -> str:
    """Returns a function and a line, as far as the symbols tell."""
    line = gdb.find_pc_line(pc)
    name = kernel.function_name(pc)
    if line.symtab is None:
        return name or f"{pc:#x}"
    return f"{name or '?'} ({line.symtab.filename.removeprefix('./')}:{line.line})"


def sleeping_frames(task: gdb.Value) -> collections.abc.Iterator[tuple[int, int]]:
    """Yields (return address, frame pointer) from the innermost frame of a thread that is switched out."""
    saved = int(task["kernel_rsp"])
    if not saved:
        return
    switch = kernel.as_pointer(saved, "struct switch_frame")
    pc, base = int(switch["resume"]), int(switch["rbp"])
    low, high = saved, int(task["stack_top"])
    for _ in range(DEPTH):
        yield pc, base
        if not low < base < high - 2 * kernel.WORD:
            return
        low, pc, base = base, kernel.read_u64(base + kernel.WORD), kernel.read_u64(base)


def names(task: gdb.Value, cpu: int | None = None) -> list[str]:
    """Returns the functions on a thread's stack, innermost first."""
    return [name for name in names_and_entries(task, cpu) if name]


def names_and_entries(task: gdb.Value, cpu: int | None) -> list[str | None]:
    """Returns the same, with None for the code of entry.asm between the interrupted function and the handler."""
    if cpu is None:
        return [kernel.function_name(pc - 1) for pc, _ in sleeping_frames(task)]
    with on_cpu(cpu):
        return [frame.name() for frame in frames()]


def without_interrupts(found: list[str | None]) -> tuple[list[str | None], str | None]:
    """Returns the functions below the innermost interrupts, and the last interrupt's handler, None if there is none."""
    handler = None
    while None in found:
        end = found.index(None)
        if not found[end + 1:] or any(name in found[:end] for name in EXCEPTIONS):
            break
        handler, found = handler or (found[end - 1] if end else None), found[end + 1:]
    return found, handler


def frames() -> collections.abc.Iterator[gdb.Frame]:
    """Yields the kernel's frames, innermost first; the frames of a program may follow them."""
    frame = gdb.newest_frame()
    for _ in range(DEPTH):
        if frame is None or frame.pc() < unwind.KERNEL_TEXT:
            return
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


class on_cpu:
    """A context in which another CPU is selected."""

    def __init__(self, cpu: int) -> None:
        self.cpu = cpu

    def __enter__(self) -> None:
        self.before = gdb.selected_thread()
        walk.thread_of_cpu(self.cpu).switch()

    def __exit__(self, *ignored: object) -> None:
        self.before.switch()


def summary(task: gdb.Value, cpu: int | None) -> str:
    """Returns a thread's functions, outermost last, without the plumbing."""
    if cpu is not None:
        with on_cpu(cpu):
            if int(gdb.newest_frame().read_register("cs")) & 3:
                return "in user mode"
    found, handler = without_interrupts(names_and_entries(task, cpu))
    mine = [name for name in found if name and name not in PLUMBING and not name.startswith(LABEL)]
    if "syscall_entry" in mine:
        mine = mine[:mine.index("syscall_entry")]
    shown = " < ".join(mine if len(mine) <= SHOWN + 1 else [*mine[:SHOWN], "…", mine[-1]])
    shown = shown or ("has not run yet" if task["process"]["is_kernel"] else "in user mode")
    return f"{shown}, interrupted: {handler}" if handler else shown
