# SPDX-License-Identifier: MIT
"""
Tests --share with archives that no Faultline kernel sends: forged, cut short, or too big for the disk. Names and links
in them must not write outside the directory, and an incomplete archive must change nothing.
"""

import re
import resource
import stat
import tempfile
import typing

from faultline_host import cpio, putback

from .directory import Directory, Entry, expect

FILE, LINK, FOLDER, GONE = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFCHR


def archive(*entries: tuple[str, int, bytes], whole: bool = True) -> typing.IO[bytes]:
    """Returns a file with an archive of these entries: (path, mode, contents)."""
    file, made = tempfile.TemporaryFile(), cpio.Archive()
    for path, mode, data in entries:
        made._entry(path, mode, data, 1, 0)  # pylint: disable=protected-access
    file.write(made.to_bytes() if whole else made.to_bytes()[:-200])
    file.seek(0)
    return file


def put_back(shared: Directory, *entries: tuple[str, int, bytes], whole: bool = True) -> list[str]:
    """Returns the messages, or ["incomplete"]."""
    with archive(*entries, whole=whole) as file:
        changed = putback.PutBack(shared.path, shared.originals(), file)
        try:
            changed.apply()
        except cpio.Incomplete:
            return ["incomplete"]
        return changed.sentences


def forged() -> list[str]:
    """Tests names that lead outside, links that lead outside, and names below such links."""
    names = ("../outside/x", "/etc/evil", "a/../../outside/x", "..", "a//b", "a/./b", "./a", "", "a\0b", "out/x")
    bad = [(name, FILE, b"evil") for name in names]
    bad += [("link1", LINK, b"/etc"), ("link2", LINK, b"../outside"), ("a/link3", LINK, b"../../outside"),
            ("out/y", LINK, b"x"), ("out/z", FOLDER, b""),
            *((name, GONE, b"") for name in ("../outside/x", "out/x", "/etc/passwd", ".."))]
    wanted: dict[str, Entry] = {"out": "../../outside", "old": "out", "fine": (0o644, b"fine"),
                                "setuid": (0o755, b"s"), "a": (0o755, None)}
    with Directory({"d": (0o755, None), "outside": (0o755, None), "outside/x": (0o644, b"x")}) as around:
        with Directory({"out": "../../outside", "old": (0o644, b"old")}, around.at("d")) as shared:
            told = put_back(shared, *bad, ("fine", FILE, b"fine"), ("setuid", stat.S_IFREG | 0o6755, b"s"))
            twice = put_back(shared, ("old", LINK, b"out"), ("old/x", FILE, b"evil"))
            checks = {"a word about each": len(told) == len(bad), "a name behind a link": len(twice) == 1}
            wrong = shared.differences(wanted) + around.differences(around.names, ignored=("d/",))
            return wrong + expect(checks, f"{told} {twice}")


def cut_short() -> list[str]:
    with Directory({"a": (0o644, b"a"), "b": (0o644, b"b")}) as shared:
        changed = (("b", GONE, b""), ("a", FILE, b"new" * 1000), ("c", FILE, b"new" * 1000))
        told = [put_back(shared, *changed, whole=False), put_back(shared, ("a", FILE, b""), whole=False)]
        for data in (b"", b"070701", b"no archive at all" * 100, b"070701" + b"x" * 200, b"0" * 110):
            with tempfile.TemporaryFile() as file:
                file.write(data)
                file.seek(0)
                try:
                    putback.PutBack(shared.path, shared.originals(), file).apply()
                    told.append(["taken"])
                except cpio.Incomplete:
                    told.append(["incomplete"])
        return shared.differences(shared.names) + expect({"all": told == [["incomplete"]] * 7}, str(told))


def no_room() -> list[str]:
    """Checks that a failed write changes nothing and is reported. A limit on file sizes stands for a full disk."""
    with Directory({"a": (0o644, b"a"), "b": (0o644, b"b")}) as shared, tempfile.TemporaryFile() as big:
        with archive(("b", GONE, b""), ("a", FILE, b"new"), ("c", FILE, bytes(2 << 20))) as source:
            big.write(source.read())
        big.seek(0)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        try:
            changed = putback.PutBack(shared.path, shared.originals(), big)
            changed.apply()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sentence = "cannot be written to .*, which is as it was: File too large"
        return shared.differences({"a": (0o644, b"a"), "b": (0o644, b"b")}) + expect(
            {"a word": re.search(sentence, "".join(changed.sentences)), "that it failed": changed.failed},
            str(changed.sentences))


TESTS = {"forged": forged, "cut-short": cut_short, "no-room": no_room}
