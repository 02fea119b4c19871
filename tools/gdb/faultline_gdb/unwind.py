# SPDX-License-Identifier: MIT
"""
Lets GDB unwind past an interrupt, a fault or another exception. kernel/x86/entry.asm has no unwind information, but
saves the interrupted registers in a struct trap_frame, to which the stack pointer points. So `up` leads from the kernel
to the program's function, but not further: GDB takes a stack at a lower address for a corrupt one.
"""

import gdb
from gdb.unwinder import Unwinder, register_unwinder

from . import kernel

KERNEL_TEXT = 0xffffffff80000000
REGISTERS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
             "rip", "rsp")
TOP = (1 << 64) - 1


class FrameId:
    def __init__(self, sp: gdb.Value, pc: gdb.Value) -> None:
        self.sp, self.pc = sp, pc


class Interrupted(Unwinder):
    """
    Unwinds the frame of entry.asm that has called interrupt(), exception(), page_fault_user() or page_fault_kernel().
    """

    def __init__(self) -> None:
        super().__init__("faultline-interrupted")

    def __call__(self, pending: gdb.PendingFrame) -> gdb.UnwindInfo | None:
        pc, sp = (int(pending.read_register(name)) & TOP for name in ("rip", "rsp"))
        if pc < KERNEL_TEXT or not is_entry_code(pc):
            return None
        try:
            saved = kernel.as_pointer(sp, "struct trap_frame").dereference()
            if not is_trap_frame(int(saved["cs"]) & 3, int(saved["cs"]), int(saved["rip"]) & TOP):
                return None
        except gdb.error:
            return None
        info = pending.create_unwind_info(FrameId(pending.read_register("rsp"), pending.read_register("rip")))
        for name in REGISTERS:
            info.add_saved_register(name, saved[name])
        return info


def is_trap_frame(ring: int, cs: int, rip: int) -> bool:
    return cs != 0 and (ring == 3 if rip < KERNEL_TEXT else ring == 0)


def is_entry_code(pc: int) -> bool:
    symtab = gdb.find_pc_line(pc - 1).symtab
    return symtab is not None and symtab.filename.endswith("entry.asm")


def load() -> None:
    register_unwinder(None, Interrupted(), replace=True)
