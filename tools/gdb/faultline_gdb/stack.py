# SPDX-License-Identifier: MIT
"""
Stacks: of CPUs, which GDB unwinds, and of threads that sleep, whose frames hang together by the frame pointers that the
kernel keeps.
"""

import gdb

from . import kernel, unwind, walk

DEPTH = 40
SHOWN = 4
# Where every sleep ends up: it says nothing about why.
PLUMBING = ("switch_stacks", "switch_context", "schedule", "thread_sleep", "finish_switch")


def place(pc):
    """A function and a line, as far as symbols go."""
    line = gdb.find_pc_line(pc)
    name = kernel.function_name(pc)
    if line.symtab is None:
        return name or f"{pc:#x}"
    return f"{name or '?'} ({line.symtab.filename.removeprefix('./')}:{line.line})"


def sleeping_frames(task):
    """(return address, frame pointer) from the innermost frame of a thread that is switched out."""
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


def names(task, cpu=None):
    """The functions that a thread is in, innermost first."""
    if cpu is None:
        return [name for pc, _ in sleeping_frames(task) if (name := kernel.function_name(pc - 1))]
    with on_cpu(cpu):
        return [frame.name() for frame in frames() if frame.name()]


def frames():
    """Those of the kernel, innermost first; outside them may come those of a program."""
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
    """With another CPU selected."""

    def __init__(self, cpu):
        self.cpu = cpu

    def __enter__(self):
        self.before = gdb.selected_thread()
        walk.thread_of_cpu(self.cpu).switch()

    def __exit__(self, *ignored):
        self.before.switch()


def summary(task, cpu):
    """Where a thread is, outermost last, without the plumbing."""
    if cpu is not None:
        with on_cpu(cpu):
            if int(gdb.newest_frame().read_register("cs")) & 3:
                return "in user mode"
    found = [name for name in names(task, cpu) if name not in PLUMBING]
    if "syscall_entry" in found:
        found = found[:found.index("syscall_entry")]
    return " < ".join(found if len(found) <= SHOWN + 1 else [*found[:SHOWN], "…", found[-1]]) or "in user mode"
