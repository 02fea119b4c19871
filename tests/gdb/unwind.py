# SPDX-License-Identifier: MIT
"""
Tests backtraces through entry.asm. They start in a fault of a program and of the kernel, in a tick that interrupted a
program and in one that interrupted the kernel. Each leads to the interrupted code, or ends at the entry, and contains
no wrong frame.
"""

import collections.abc

import gdb

from faultline_gdb import kernel, stack, unwind
from harness import ask, check, finish, frame_value, run_to, skip_call, this_task


def frames() -> list[str]:
    """Returns the names of the selected CPU's frames, including the program's, innermost first."""
    found: list[str] = []
    frame = gdb.newest_frame()
    while frame and len(found) < stack.DEPTH:
        found.append(name_of(frame.pc()))
        frame = frame.older()
    return found


def name_of(pc: int) -> str:
    if pc < unwind.KERNEL_TEXT:
        return kernel.function_name(pc) or "program"
    if unwind.is_entry_code(pc):
        return "entry.asm"
    # a call may be its function's last instruction
    return kernel.function_name(pc) or kernel.function_name(pc - 1) or f"{pc:#x}"


def leads_to_program(what: str) -> None:
    """Checks that the program's first frame is where it was interrupted, with the stack pointer that it had."""
    outer = gdb.newest_frame()
    while outer.pc() >= unwind.KERNEL_TEXT:
        outer = outer.older()
    stack_top = int(this_task()["stack_top"])
    saved = kernel.as_pointer(stack_top - kernel.type_named("struct trap_frame").sizeof, "struct trap_frame")
    check(f"{what}: where the program was",
          outer.pc() == int(saved["rip"]) and int(outer.read_register("rsp")) == int(saved["rsp"]),
          f"{outer.pc():#x}, {int(saved['rip']):#x}")


def leads_through(what: str, *expected: str) -> None:
    """Checks that the frames have these names in this order, and that each has a name: wrong frames have none."""
    found = frames()
    rest = iter(found)
    check(f"{what}: {' < '.join(expected)}", all(name in rest for name in expected), str(found))
    check(f"{what}: does not go astray", not any(name.startswith("0x") for name in found), str(found))


def in_user_mode() -> bool:
    return bool(frame_value("user"))


def calls(name: str) -> collections.abc.Callable[[], bool]:
    return lambda: name in frames()


run_to("main")
run_to("fault_in", calls("page_fault_user"))
leads_through("a program's fault", "fault_in", "page_fault_user", "entry.asm")
leads_to_program("a program's fault")
run_to("fault_in", calls("page_fault_kernel"))
leads_through("a fault of the kernel", "fault_in", "page_fault_kernel", "entry.asm")
outside = frames()[frames().index("page_fault_kernel"):]
check("a fault of the kernel: the system call that copies is outside it",
      any(name.startswith("sys_") for name in outside), str(frames()))
run_to("sched_tick", in_user_mode)
leads_through("a tick in a program", "sched_tick", "entry.asm")
leads_to_program("a tick in a program")
run_to("race_release")
skip_call()  # so one thread stays at its race point, interrupts on, for as long as the test needs
run_to("sched_tick", calls("race_hit"))
leads_through("a tick in the kernel", "sched_tick", "entry.asm", "race_hit", "mm_mprotect", "entry.asm")
# The number of omitted frames depends on where in race_stop_here() the tick interrupted it.
ask("tasks", r"\) +on CPU \d .* race_stop_here < race_hit < (.* )?… < mm_mprotect, interrupted: sched_tick$")
finish()
