# SPDX-License-Identifier: MIT
"""
Runs the stopped kernel's own code on a copy of its memory, in an emulator (Unicorn): what it would do next can be seen,
and the machine stays as it is. Pages are copied when the code first touches them. As long as the machine stands still,
one copy serves for all runs: the pages that a run has written are restored before the next.
"""

import collections.abc
import typing

import gdb

from . import kernel

try:
    import unicorn
    from unicorn import x86_const
except ImportError:
    unicorn = None

GS_BASE = 0xc0000101
FLAGS = 0x202  # interrupts on
STACK = 0xffff_e000_0000_0000  # of a call: in no region of the kernel
STACK_SIZE = 16 * kernel.PAGE_SIZE
RETURN = STACK + STACK_SIZE - 64  # is never executed: a call has ended when it returns there
PATIENCE = 20_000_000  # microseconds
RDPKRU = b"\x0f\x01\xee"
GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx")

Watcher = collections.abc.Callable[[int, int, bytes], None]  # (pc, address, bytes written)


def canonical(address: int) -> int:
    """Returns the address in full, of which the emulator may have dropped the highest bits: they repeat bit 47."""
    low = address & (1 << 48) - 1
    return low | 0xffff << 48 if low >> 47 else low


def kept_bits() -> int:
    """Returns a mask of the address bits that this release of the emulator looks at: from 2.1 on, 52 of them."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    mask = (1 << 52) - 1
    uc.mem_map(STACK & mask, kernel.PAGE_SIZE)
    uc.mem_write(STACK & mask, b"\x90")  # nop
    try:
        uc.emu_start(STACK, STACK + 1)
    except unicorn.UcError:
        return (1 << 64) - 1
    return mask


class Stuck(gdb.GdbError):
    """The code could not be run to the end; the message says why."""


class Replay:
    """A copy of the machine as one CPU sees it."""

    def __init__(self) -> None:
        if unicorn is None:
            raise gdb.GdbError("why runs the kernel's code in an emulator that is not installed: "
                               "apt-get install python3-unicorn")
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.ctl_set_cpu_model(x86_const.UC_CPU_X86_SKYLAKE_CLIENT)
        self.copied: dict[int, bytes] = {}
        self.written: set[int] = set()
        self.mask = kept_bits()
        self.uc.mem_map(STACK & self.mask, STACK_SIZE)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, self._copy_on_access)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._write)
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self._instruction)

    def begin(self, cpu: int) -> None:
        """Makes the copy the machine again, as this CPU sees it."""
        for page in self.written & self.copied.keys():
            self.uc.mem_write(page & self.mask, self.copied[page])
        self.written.clear()
        self.cpu, self.pc, self.trace = cpu, 0, [0]
        self.missing: int | None = None
        self.stopped: str | None = None
        self.watchers: list[tuple[int, int, Watcher]] = []
        self.stops: dict[int, collections.abc.Callable[[], int | None]] = {}
        self.keys_read = False
        address = kernel.variable("cpus")[cpu].address
        assert address is not None
        self.uc.msr_write(GS_BASE, int(address))

    # --- What the copy is asked, and told ---

    def read(self, address: int, size: int) -> bytes:
        self._copy(address, size)
        return bytes(self.uc.mem_read(address & self.mask, size))

    def read_value(self, value: gdb.Value) -> int:
        """Returns what an integer, enum or pointer of the kernel is in the copy."""
        assert value.address is not None
        return int.from_bytes(self.read(int(value.address), value.type.sizeof), "little")

    def write(self, address: int, data: bytes) -> None:
        self._copy(address, len(data))
        self._note_written(address, len(data))
        self.uc.mem_write(address & self.mask, data)

    def write_value(self, value: gdb.Value, number: int) -> None:
        assert value.address is not None
        self.write(int(value.address), number.to_bytes(value.type.sizeof, "little"))

    def watch(self, address: int, size: int, watcher: Watcher) -> None:
        """Calls the function before each write that touches these bytes."""
        self.watchers.append((address, address + size, watcher))

    def at(self, function: str, action: collections.abc.Callable[[], int | None]) -> None:
        """Calls `action` where the function begins; it returns at once, with the number, unless that is None."""
        self.stops[int(kernel.variable(function).address)] = action

    def argument(self, number: int = 0) -> int:
        return self._register(ARGUMENTS[number])

    def stop(self, why: str) -> None:
        """Ends the run after the current instruction."""
        self.stopped = why
        self.uc.emu_stop()

    # --- Runs ---

    def call(self, function: str, *arguments: int) -> None:
        """Calls a function of the kernel, and runs until it returns or stop() is called."""
        stack = RETURN - 2 * kernel.WORD - 128
        self.uc.mem_write(stack & self.mask, RETURN.to_bytes(kernel.WORD, "little"))
        self._set("rsp", stack)
        self.uc.reg_write(x86_const.UC_X86_REG_EFLAGS, FLAGS)
        for name, value in zip(ARGUMENTS, arguments):
            self._set(name, value)
        self._run(int(kernel.variable(function).address))

    def resume(self, frame: gdb.Frame) -> None:
        """Goes on from a frame of the CPU, as if the functions above it had returned."""
        for name in GENERAL:
            self._set(name, int(frame.read_register(name)) & (1 << 64) - 1)
        self.uc.reg_write(x86_const.UC_X86_REG_EFLAGS, int(gdb.newest_frame().read_register("eflags")))
        self._run(frame.pc())

    def _run(self, pc: int) -> None:
        try:
            self.uc.emu_start(pc, RETURN, timeout=PATIENCE)
        except unicorn.UcError as error:
            if self.stopped is not None:
                return
            if error.errno == unicorn.UC_ERR_INSN_INVALID and self._read_keys():
                self._run(self.pc + len(RDPKRU))
                return
            where = kernel.function_name(self.pc) or f"{self.pc:#x}"
            raise Stuck(f"why: the kernel's code cannot go on in {where}: " + (
                f"it touches {self.missing:#x}, which is not mapped" if self.missing is not None
                else str(error))) from error
        if self.stopped is None and self.uc.reg_read(x86_const.UC_X86_REG_RIP) != RETURN:
            raise Stuck(f"why: the kernel's code does not end: it is in {kernel.function_name(self.pc)}")

    def _read_keys(self) -> bool:
        """Answers RDPKRU, which the emulator lacks, as if every key permitted everything."""
        if self.read(self.pc, len(RDPKRU)) != RDPKRU:
            return False
        self.keys_read = True
        self._set("rax", 0)
        self._set("rdx", 0)
        return True

    # --- What the emulator calls ---

    def _copy(self, address: int, size: int) -> None:
        first, last = address & -kernel.PAGE_SIZE, (address + size - 1) & -kernel.PAGE_SIZE
        for page in range(first, last + 1, kernel.PAGE_SIZE):
            if page not in self.copied and not STACK <= page < STACK + STACK_SIZE:
                data = kernel.read_bytes(page, kernel.PAGE_SIZE)
                self.uc.mem_map(page & self.mask, kernel.PAGE_SIZE)
                self.uc.mem_write(page & self.mask, data)
                self.copied[page] = data

    def _copy_on_access(self, _uc: typing.Any, _kind: int, address: int, size: int, _value: int, _data: object) -> bool:
        address = canonical(address)
        try:
            self._copy(address, size)
        except gdb.MemoryError:
            self.missing = address
            return False
        return True

    def _note_written(self, address: int, size: int) -> None:
        self.written.add(address & -kernel.PAGE_SIZE)
        self.written.add(address + size - 1 & -kernel.PAGE_SIZE)

    def _write(self, _uc: typing.Any, _kind: int, address: int, size: int, value: int, _data: object) -> None:
        address = canonical(address)
        self._note_written(address, size)
        for begin, end, watcher in self.watchers:
            if address < end and begin < address + size:
                watcher(self.pc, address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def _instruction(self, _uc: typing.Any, pc: int, _size: int, _data: object) -> None:
        if pc != self.pc:  # otherwise: one more turn of a string instruction
            self.pc = pc
            self.trace.append(pc)
        action = self.stops.get(pc)
        if action is None:
            return
        result = action()
        if result is not None and self.stopped is None:
            stack = self._register("rsp")
            self._set("rax", result)
            self._set("rsp", stack + kernel.WORD)
            self.uc.reg_write(x86_const.UC_X86_REG_RIP, int.from_bytes(self.read(stack, kernel.WORD), "little"))

    def _register(self, name: str) -> int:
        return self.uc.reg_read(getattr(x86_const, f"UC_X86_REG_{name.upper()}"))

    def _set(self, name: str, value: int) -> None:
        self.uc.reg_write(getattr(x86_const, f"UC_X86_REG_{name.upper()}"), value)


_kept: list[Replay] = []  # at most one


def copy_for(cpu: int) -> Replay:
    """Returns a copy of the machine as it is now, for one run as this CPU; the last one's runs are over."""
    if not _kept:
        _kept.append(Replay())
    _kept[0].begin(cpu)
    return _kept[0]


def load() -> None:
    """Forgets the copy whenever the machine continues, or the debugger changes its memory."""
    for event in (gdb.events.cont, gdb.events.memory_changed):
        event.connect(lambda _event: _kept.clear())
