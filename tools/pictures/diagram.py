# SPDX-License-Identifier: MIT
"""
Boxes and arrows: how something lives, or what points to what. A TOML file has the places and the words.

    [[node]]    id, x, y, width, title, colour; lines (text), or rows (name, text, colour): with `struct`, its fields
    [[arrow]]   path: points "node.side.offset" or "x,y"; colour, style; with `what` and `names` it gets a number and
                a row in the list below, without a path only that; `again`: the number of the arrow with this `id`
    key         (colour, meaning)…
"""

import sys
import tomllib
import typing

from . import names
from .svg import MARGIN, WIDTH, Canvas, Point

Table = dict[str, typing.Any]  # a table of the TOML file

TITLE, LINE, PAD = 21, 18, 8  # heights in a box
FUNCTIONS = 310  # where the list's functions begin


def load(name: str) -> Table:
    with open(names.ROOT / f"docs/pictures/{name}.toml", "rb") as file:
        return tomllib.load(file)


def draw(name: str, data: Table | None = None) -> str:
    """Draws the picture of that name, from its file or from the data."""
    data = data or load(name)
    canvas = Canvas(name, data["title"])
    canvas.text(MARGIN, 32, data["title"], 17, "b")
    canvas.key(56, data["key"])
    places = {node["id"]: draw_node(canvas, node) for node in data["node"]}
    listed = [arrow for arrow in data["arrow"] if "what" in arrow]
    numbers = {arrow.get("id", index): str(index) for index, arrow in enumerate(listed, 1)}
    for arrow in (arrow for arrow in data["arrow"] if "path" in arrow):
        label = str(listed.index(arrow) + 1) if arrow in listed else numbers[arrow["again"]] if "again" in arrow else ""
        draw_arrow(canvas, arrow, places, label)
    for note in data.get("note", []):
        canvas.text(note["x"], note["y"], note["text"], 12.5, f"{note.get('colour', 'quiet')}",
                    note.get("anchor", "start"))
    if listed:
        draw_list(canvas, listed)
    for text in data.get("below", []):
        canvas.bottom = canvas.paragraph(MARGIN, canvas.bottom + 26, WIDTH - 2 * MARGIN, text, 13) - 18
    for shown in canvas.names:
        names.check(f"{name}.toml", shown)
    return canvas.svg()


def height_of(node: Table) -> float:
    return float(node.get("height", TITLE + LINE * len(node.get("lines", node.get("rows", []))) + 2 * PAD - 2))


def draw_node(canvas: Canvas, node: Table) -> tuple[float, float, float, float]:
    """Draws the box. Returns its place."""
    x, y, width, height = node["x"], node["y"], node["width"], height_of(node)
    canvas.box(x, y, width, height, node.get("colour", "grey"), style_=f"box {node.get('style', '')}".strip())
    base = y + PAD + 13
    for index, line in enumerate([node["title"], *node.get("lines", [])] if node["title"] else []):
        size, style = (12.5, "") if index else (14, "b")
        area = canvas.text(x + width / 2, base + LINE * index, line, size, style, "middle")
        if area[0] < x + 3 or area[2] > x + width - 3:
            sys.exit(f"docs/pictures/{canvas.name}.toml: “{line}” is wider than its box")
    for field, words, colour in node.get("rows", []):
        base += LINE
        left = canvas.text(x + 12, base, f"`{field}`", 12.5, colour)
        right = canvas.text(x + node.get("column", 108), base, words, 12.5, "quiet")
        if right[2] > x + width - 3 or left[2] > right[0]:
            sys.exit(f"docs/pictures/{canvas.name}.toml: “{field} {words}” is wider than its box")
        if "struct" in node:
            names.check_field(f"{canvas.name}.toml", node["struct"], field)
    return x, y, width, height


def point_of(text: str, places: dict[str, tuple[float, float, float, float]]) -> Point:
    if "," in text:
        across, down = text.split(",")
        return float(across), float(down)
    node, side, offset = text.split(".")
    x, y, width, height = places[node]
    along = float(offset)
    return {"top": (x + along, y), "bottom": (x + along, y + height), "left": (x, y + along),
            "right": (x + width, y + along)}[side]


def draw_arrow(canvas: Canvas, arrow: Table, places: dict[str, tuple[float, float, float, float]],
               label: str) -> None:
    points = [point_of(text, places) for text in arrow["path"]]
    canvas.line(points, arrow["colour"], arrow.get("style", ""), arrow=True)
    if arrow.get("both"):
        canvas.line(points[::-1], arrow["colour"], arrow.get("style", ""), arrow=True)
    if label:
        place = arrow.get("badge", 0.5)
        start, end = points[arrow.get("segment", 0):][:2]
        canvas.badge(start[0] + (end[0] - start[0]) * place, start[1] + (end[1] - start[1]) * place, label,
                     arrow["colour"])


def draw_list(canvas: Canvas, arrows: list[Table]) -> None:
    """Lists what makes each transition, the function that does it, and its file."""
    y = canvas.bottom + 30
    canvas.line([(MARGIN, y - 18), (WIDTH - MARGIN, y - 18)], "rule")
    for index, arrow in enumerate(arrows, 1):
        canvas.badge(MARGIN + 10, y - 4, str(index), arrow["colour"])
        base = y
        for line in canvas.wrap(arrow["what"], FUNCTIONS - MARGIN - 38, 12.5):
            canvas.text(MARGIN + 28, base, line, 12.5)
            base += LINE
        other = y
        for function in arrow["names"]:
            file = names.file_of(f"{canvas.name}.toml", function)
            area = canvas.text(FUNCTIONS, other, f"`{function}()`", 12.5)
            canvas.text(area[2] + 7, other, file.rpartition("/")[2], 12, "quiet")
            other += LINE
        y = max(base, other) + 5
    canvas.bottom = y - LINE
