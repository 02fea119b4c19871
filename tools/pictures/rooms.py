# SPDX-License-Identifier: MIT
"""
The rooms of mm/ and kernel/, in their order, and the includes that go against it: from the tables and the sources that
tests/check-rooms reads.
"""

import importlib.machinery
import importlib.util
import re
import types

from . import names
from .svg import MARGIN, WIDTH, Canvas

ROW, GUTTER, TRACK = 44, 26, 16
ABOUT = {"kernel": "the kernel around it", "mm": "memory management: the subject"}
COLOUR = {"kernel": "grey", "mm": "blue"}


def checker() -> types.ModuleType:
    """Returns tests/check-rooms as a module."""
    loader = importlib.machinery.SourceFileLoader("check_rooms", str(names.ROOT / "tests/check-rooms"))
    spec = importlib.util.spec_from_loader("check_rooms", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def purposes(house: str) -> dict[str, str]:
    """Returns {room: what is in it}, in the order of the table in the house's README."""
    rows = re.findall(r"^\| `(\w+)/` \| (.*) \|$", (names.ROOT / house / "README.md").read_text(), re.MULTILINE)
    return dict(rows)


def draw() -> str:
    canvas = Canvas("rooms", "The rooms, in the order in which they may include each other")
    canvas.text(MARGIN, 32, canvas.title, 17, "b")
    y = canvas.paragraph(MARGIN, 54, WIDTH - 2 * MARGIN, "A file may include headers of its own room and of rooms "
                         "below it. The arrows are the exceptions, each of which has a reason in "
                         "tests/upward-includes.toml.", 12.5, "quiet") + 22
    rooms = checker()
    for house in rooms.HOUSES[::-1]:
        upward, _ = rooms.upward(names.ROOT, house)
        pairs = {(path.split("/")[1], header.split("/")[1]) for path, header in upward}
        y = draw_house(canvas, house, pairs, y) + 34
    canvas.bottom -= 6
    return canvas.svg()


def tracks(sources: dict[int, list[int]]) -> dict[int, int]:
    """
    Gives each row that is included from below a track of the gutter, which no other uses there; short ones first.
    """
    taken: list[list[tuple[int, int]]] = []
    found = {}
    for target in sorted(sources, key=lambda row: (max(sources[row]) - row, row)):
        last = max(sources[target])
        track = next((track for track, spans in enumerate(taken)
                      if all(last < start or end < target for start, end in spans)), len(taken))
        if track == len(taken):
            taken.append([])
        taken[track].append((target, last))
        found[target] = track
    return found


def draw_house(canvas: Canvas, house: str, pairs: set[tuple[str, str]], y: float) -> float:
    """Draws one row for each room, and the arrows in a gutter on the right. Returns where it ends."""
    area = canvas.text(MARGIN, y, f"{house}/", 15, "b")
    canvas.text(area[2] + 8, y, ABOUT[house], 12.5, "quiet")
    y += 12
    room_of = purposes(house)
    order = list(room_of)
    sources: dict[int, list[int]] = {}
    for lower, higher in sorted(pairs):
        sources.setdefault(order.index(higher), []).append(order.index(lower))
    track_of = tracks(sources)
    right = WIDTH - MARGIN - GUTTER - TRACK * max(track_of.values(), default=0)
    for index, (room, what) in enumerate(room_of.items()):
        draw_room(canvas, room, what, y + ROW * index, right, COLOUR[house])
    targets = {row: sorted((target for target in sources if row in sources[target]), key=lambda one: -track_of[one])
               for row in range(len(order))}
    for target, rows in sources.items():
        x, end = right + GUTTER + TRACK * track_of[target], y + ROW * target + ROW - 14
        for row in sorted(rows, reverse=True):
            start = y + ROW * row + 6 + (ROW - 26) * (targets[row].index(target) + 1) / (len(targets[row]) + 1)
            canvas.line([(right, start), (x, start), (x, end), (right + 2, end)], "red", arrow=row == max(rows))
    return y + ROW * len(order)


def draw_room(canvas: Canvas, room: str, what: str, y: float, right: float, colour: str) -> None:
    canvas.box(MARGIN, y, right - MARGIN, ROW - 6, colour)
    canvas.text(MARGIN + 10, y + 23.5, room, 13.5, "b m")
    lines = canvas.wrap(what, right - MARGIN - 106, 12)
    for index, line in enumerate(lines):
        canvas.text(MARGIN + 96, y + (23 if len(lines) == 1 else 16 + 15.5 * index), line, 12)
