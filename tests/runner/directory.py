# SPDX-License-Identifier: MIT
"""A directory that a test fills, lets a command change, and compares with the expected contents."""

import collections.abc
import os
import stat
import tempfile
import typing

from faultline_host import putback

Entry = str | tuple[int, bytes | None]  # the target of a link; or mode and contents, None for a directory
Contents = collections.abc.Mapping[str, Entry]  # by name


class Directory:
    """A directory with these names."""

    def __init__(self, names: Contents, inside: str | None = None) -> None:
        self.names, self.inside = names, inside

    def __enter__(self) -> typing.Self:
        self.temporary = tempfile.TemporaryDirectory(prefix="faultline-sharing-", dir=self.inside)
        self.path = self.temporary.name
        for name, what in self.names.items():
            if isinstance(what, str):
                os.symlink(what, self.at(name))
            elif what[1] is None:
                os.mkdir(self.at(name))
            else:
                with open(self.at(name), "wb") as file:
                    file.write(what[1])
            if not isinstance(what, str):
                os.chmod(self.at(name), what[0])
        return self

    def __exit__(self, *_: object) -> None:
        self.temporary.cleanup()

    def at(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read(self, name: str) -> bytes:
        with open(self.at(name), "rb") as file:
            return file.read()

    def same(self, one: str, other: str) -> bool:
        return os.path.samefile(self.at(one), self.at(other))

    def all(self) -> dict[str, Entry]:
        """Returns the current contents, in the format of `names`."""
        found: dict[str, Entry] = {}
        for folder, folders, files in os.walk(self.path):
            for name in folders + files:
                path = os.path.join(folder, name)
                status_of = os.lstat(path)
                mode = stat.S_IMODE(status_of.st_mode)
                found[os.path.relpath(path, self.path)] = os.readlink(path) if os.path.islink(path) else \
                    (mode, self.read(path)) if stat.S_ISREG(status_of.st_mode) else (mode, None)
        return found

    def originals(self) -> dict[str, putback.Original | None]:
        kinds = {name: what if isinstance(what, str) else what[1] for name, what in self.all().items()}
        handle = os.open(self.path, putback.DIRECTORY)
        try:
            return {name: putback.original(name, handle) for name in kinds}
        finally:
            os.close(handle)

    def differences(self, wanted: Contents, ignored: collections.abc.Sequence[str] = ()) -> list[str]:
        found = {name: what for name, what in self.all().items() if name not in ignored and
                 not any(one.endswith("/") and name.startswith(one) for one in ignored)}
        return [f"{name!r} is {str(found.get(name))[:80]}, not {str(wanted.get(name))[:80]}"
                for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]


def expect(checks: collections.abc.Mapping[str, object], told: str) -> list[str]:
    """Returns complaints: the names of the checks that are false, and the text `told`."""
    missed = [f"lacks {name}" for name, right in checks.items() if not right]
    return [*missed, told] if missed else []
