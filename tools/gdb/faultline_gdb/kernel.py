# SPDX-License-Identifier: MIT
"""
Reads the kernel's structures by the names in its debug information: no offset or layout is hard-coded here. What the
debug information lacks (preprocessor constants, the sentences of the X-macro lists) is read from the sources that the
kernel was built from.
"""

import collections.abc
import functools
import os
import re

import gdb

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
WORD = 8


# --- Symbols ---------------------------------------------------------------------------------------------------------

def objfile() -> gdb.Objfile:
    """Returns the kernel's symbol file, since programs have symbols of the same names."""
    for candidate in gdb.objfiles():
        if candidate.lookup_global_symbol("fault_in") and candidate.lookup_global_symbol("kernel_pgd"):
            return candidate
    raise gdb.GdbError("The kernel's symbols are not loaded: file build/faultline.elf")


def variable(name: str) -> gdb.Value:
    """Returns a global variable or function of the kernel."""
    symbol = objfile().lookup_global_symbol(name)
    if symbol is None:
        raise gdb.GdbError(f"This kernel has no {name}.")
    return symbol.value()


def static(path: str, name: str) -> gdb.Value:
    """Returns a static variable of one source file."""
    return gdb.parse_and_eval(f"'{path}'::{name}")


@functools.lru_cache(maxsize=None)
def _block() -> gdb.Block:
    return gdb.block_for_pc(int(variable("fault_in").address))


@functools.lru_cache(maxsize=None)
def type_named(name: str) -> gdb.Type:
    return gdb.lookup_type(name, _block())


@functools.lru_cache(maxsize=None)
def is_debug() -> bool:
    """Returns whether this is a debug kernel, which records held locks and has functions to stop at."""
    return any(field.name == "held" for field in type_named("struct task").fields())


@functools.lru_cache(maxsize=None)
def enum(name: str) -> dict[str, int]:
    """Returns {constant: value} of an enum, in order."""
    return {field.name: field.enumval for field in type_named(f"enum {name}").fields()}


def enum_name(name: str, value: gdb.Value | int, prefix: str = "") -> str:
    for constant, number in enum(name).items():
        if number == int(value):
            return constant.removeprefix(prefix)
    return str(int(value))


def as_pointer(address: gdb.Value | int, type_name: str) -> gdb.Value:
    return gdb.Value(int(address)).cast(type_named(type_name).pointer())


def function_name(address: int) -> str | None:
    """
    Returns the function at the address, without suffixes that the compiler or the assembler appends for a part of it.
    """
    name = gdb.execute(f"info symbol {int(address):#x}", to_string=True)
    match = re.match(r"(\S+?)(?:[.[]\S*)?(?: \+ \d+)? in section", name)
    return match[1] if match else None


# --- Sources ---------------------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def source(path: str) -> str:
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise gdb.GdbError(f"The source {path}, which the kernel was built from, cannot be read: "
                           f"{error.strerror}") from error


@functools.lru_cache(maxsize=None)
def defines(path: str) -> dict[str, int]:
    """Returns {name: value} of the numeric constants that a header defines, in order."""
    found = {"PAGE_SHIFT": 12}
    for name, text in re.findall(r"^#define (\w+)[ \t]+(.+?)\s*(?:/\*.*)?$", source(path), re.MULTILINE):
        text = re.sub(r"\b(0x[0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text)
        try:
            # only headers of this kernel: numbers, shifts, earlier names
            found[name] = eval(text, {"__builtins__": {}}, found)
        except (SyntaxError, NameError, TypeError):
            continue
    return found


def define(path: str, name: str) -> int:
    return defines(path)[name]


@functools.lru_cache(maxsize=None)
def rows(path: str, macro: str) -> list[list[str]]:
    """Returns the rows of an X-macro list, as lists of strings."""
    body = re.findall(r"#define " + macro + r"\(X(?:, \w+)?\)(.*?[^\\])\n", source(path), re.S)[0]
    body = re.sub(r"\\\n\s*", " ", body)
    found = []
    for row in re.finditer(r'X\(((?:[^()"]|"(?:[^"\\]|\\.)*"|\([^()]*\))*)\)', body):
        text = re.sub(r'"\s+"', "", row[1])  # string literals one after the other are one
        cells = re.findall(r'"(?:[^"\\]|\\.)*"|[^\s,"][^,"]*', text)
        found.append([cell.strip().strip('"') for cell in cells])
    return found


# --- Lists and per-CPU data ------------------------------------------------------------------------------------------

def container(pointer: gdb.Value | int, type_name: str, member: str) -> gdb.Value:
    """Returns the structure that contains the member at `pointer`."""
    return as_pointer(int(pointer) - offset_of(type_name, member), type_name)


@functools.lru_cache(maxsize=None)
def offset_of(type_name: str, member: str) -> int:
    return next(field.bitpos // 8 for field in all_fields(type_named(type_name)) if field.name == member)


def all_fields(kind: gdb.Type, base: int = 0) -> "collections.abc.Iterator[_Field]":
    """Yields the fields of a structure, including those of its unnamed members."""
    for field in kind.fields():
        if field.name:
            yield _Field(field.name, base + field.bitpos)
        else:
            yield from all_fields(field.type.strip_typedefs(), base + field.bitpos)


class _Field:
    def __init__(self, name: str, bitpos: int) -> None:
        self.name, self.bitpos = name, bitpos


def list_entries(head: gdb.Value, type_name: str, member: str,
                 limit: int = 100000) -> collections.abc.Iterator[gdb.Value]:
    """Yields the structures on a list_head; `limit` ends a walk over a list that is being changed."""
    first = int(head.address)
    link = head["next"]
    while int(link) != first and int(link) and limit:
        yield container(link, type_name, member)
        link = link["next"]
        limit -= 1


def nr_cpus() -> int:
    return max(1, int(variable("nr_cpus_online")))


def per_cpu(array: gdb.Value, cpu: int) -> gdb.Value:
    return array[cpu]["v"]


def array_of(value: gdb.Value) -> list[gdb.Value]:
    """Returns the elements of an array."""
    low, high = value.type.range()
    return [value[index] for index in range(low, high + 1)]


# --- Memory ----------------------------------------------------------------------------------------------------------

PAGE_SIZE = 4096


def read_bytes(address: int, size: int) -> bytes:
    return bytes(gdb.selected_inferior().read_memory(address, size))


def read_u64(address: int) -> int:
    return int.from_bytes(read_bytes(address, WORD), "little")


def phys_to_virt(paddr: int) -> int:
    return paddr + define("kernel/x86/machine_arch.h", "DIRECT_MAP_BASE")


def page_of_pfn(pfn: int) -> gdb.Value:
    base = define("kernel/x86/machine_arch.h", "MEM_MAP_BASE")
    return as_pointer(base + pfn * type_named("struct page").sizeof, "struct page")


def pfn_of_page(page: gdb.Value | int) -> int:
    return (int(page) - define("kernel/x86/machine_arch.h", "MEM_MAP_BASE")) // type_named("struct page").sizeof


def text_of(value: gdb.Value) -> str:
    """Returns a char array or string of the kernel as text."""
    return value.string(errors="replace") if value.type.code == gdb.TYPE_CODE_PTR else \
        bytes(int(byte) & 0xff for byte in array_of(value)).split(b"\0")[0].decode(errors="replace")


# --- Bits ------------------------------------------------------------------------------------------------------------

def page_has(page: gdb.Value, flag: str) -> bool:
    return bool(int(page["flags"]) >> enum("page_flag")[flag] & 1)


def page_flags(page: gdb.Value) -> list[str]:
    return [name.removeprefix("PG_").lower() for name, bit in enum("page_flag").items()
            if int(page["flags"]) >> bit & 1]


def cpu_list(mask: int) -> str:
    cpus = [str(cpu) for cpu in range(64) if mask >> cpu & 1]
    return ", ".join(cpus) if cpus else "none"
