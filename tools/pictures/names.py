# SPDX-License-Identifier: MIT
"""
What the pictures name must exist in the sources: functions, fields, constants, files. A name that is gone, or that two
files define, is an error.
"""

import functools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("mm", "kernel")
DEFINITION = re.compile(r"^(?:\w[\w \t*]*?(\w+)\([^;{}]*\)\n\{|#define (\w+)\()", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@functools.cache
def sources() -> dict[str, str]:
    """Returns {file: code without comments}."""
    return {str(path.relative_to(ROOT)): COMMENT.sub("", path.read_text())
            for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]"))}


@functools.cache
def words() -> frozenset[str]:
    return frozenset(word for text in sources().values() for word in re.findall(r"\w+", text))


@functools.cache
def definitions() -> dict[str, list[str]]:
    """Returns {function, or macro with arguments: the files that define it}."""
    found: dict[str, list[str]] = {}
    for path, text in sources().items():
        for function, macro in set(DEFINITION.findall(text)):
            found.setdefault(function or macro, []).append(path)
    return found


def file_of(picture: str, function: str) -> str:
    files = definitions().get(function, [])
    if len(files) != 1:
        sys.exit(f"docs/pictures/{picture}: {function}() is defined in {len(files)} files, not in one")
    return files[0]


@functools.cache
def body_of(struct: str) -> str | None:
    """Returns what stands between the braces of the struct's definition."""
    for text in sources().values():
        found = re.search(rf"^struct {struct} \{{(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
        if found:
            return found[1]
    return None


def check_field(picture: str, struct: str, field: str) -> None:
    body = body_of(struct)
    if body is None or not re.search(rf"\b{field}\b", body):
        sys.exit(f"docs/pictures/{picture}: struct {struct} has no field {field}")


def members(enum: str) -> list[str]:
    """Returns the constants of an enum."""
    for text in sources().values():
        found = re.search(rf"^enum {enum} \{{(.*?)\}}", text, re.MULTILINE | re.DOTALL)
        if found:
            return re.findall(r"\w+", re.sub(r"=[^,]*", "", found[1]))
    sys.exit(f"there is no enum {enum}")


def check(picture: str, name: str) -> None:
    """Checks a name as a picture shows it: file.c, function(), struct x, or identifiers among other characters."""
    if re.fullmatch(r"[\w/]+\.[ch]", name):
        if not any(path.endswith(f"/{name}") or path == name for path in sources()):
            sys.exit(f"docs/pictures/{picture}: there is no file {name}")
        return
    for function in re.findall(r"(\w+)\(\)", name):
        if function not in definitions():
            sys.exit(f"docs/pictures/{picture}: there is no function {function}()")
    for struct in re.findall(r"\bstruct (\w+)", name):
        if body_of(struct) is None:
            sys.exit(f"docs/pictures/{picture}: there is no struct {struct}")
    for word in re.findall(r"[A-Za-z_]\w+", name):
        if word not in words():
            sys.exit(f"docs/pictures/{picture}: {word} is not in the sources")
