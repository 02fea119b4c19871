# SPDX-License-Identifier: MIT
"""
A sequence diagram: which CPU asks which, and waits for it. Time runs downwards. A TOML file has the words.

    [[actor]]   id, title, lines
    [[step]]    `at` (an actor) and text: what it does; `from`, `to` and text: a message; `beside`: as high as the step
                before. `wait` … `end`: a bar on an actor's line in between; `hold` … `release`: one beside it
"""

import tomllib
import typing

from . import names
from .svg import MARGIN, WIDTH, Canvas

Table = dict[str, typing.Any]  # a table of the TOML file

HEAD, ROW = 92, 17


def draw(name: str) -> str:
    with open(names.ROOT / f"docs/pictures/{name}.toml", "rb") as file:
        data = tomllib.load(file)
    canvas = Canvas(name, data["title"])
    canvas.text(MARGIN, 32, data["title"], 17, "b")
    top = canvas.key(56, data["key"]) + 4
    wide = (WIDTH - 2 * MARGIN) / len(data["actor"])
    places = {}
    for index, actor in enumerate(data["actor"]):
        places[actor["id"]] = MARGIN + wide * (index + 0.5)
        draw_actor(canvas, actor, MARGIN + wide * index + 4, top, wide - 8)
    end = draw_steps(canvas, data["step"], places, top + HEAD, wide)
    for x in places.values():
        canvas.line([(x, top + HEAD - 20), (x, end)], "rule", under=True)
    canvas.under = [*canvas.under[-len(places):], *canvas.under[:-len(places)]]
    canvas.bottom = end
    for text in data.get("below", []):
        canvas.bottom = canvas.paragraph(MARGIN, canvas.bottom + 26, WIDTH - 2 * MARGIN, text, 13) - 18
    for shown in canvas.names:
        names.check(f"{name}.toml", shown)
    return canvas.svg()


def draw_actor(canvas: Canvas, actor: Table, x: float, y: float, width: float) -> None:
    canvas.box(x, y, width, HEAD - 20)
    canvas.text(x + width / 2, y + 20, actor["title"], 14, "b", "middle")
    for index, line in enumerate(actor["lines"]):
        canvas.text(x + width / 2, y + 39 + ROW * index, line, 12, "quiet", "middle")


def draw_steps(canvas: Canvas, steps: list[Table], places: dict[str, float], y: float, wide: float) -> float:
    """Draws the rows. Returns where they end."""
    began: dict[tuple[str, bool], tuple[float, str]] = {}  # by actor, and whether it waits
    last = y  # where the step before began
    for step in steps:
        for begin, end, waits in (("wait", "end", True), ("hold", "release", False)):
            if begin in step:
                began[step[begin], waits] = y - 4, step["colour"]
            elif end in step:
                start, colour = began.pop((step[end], waits))
                draw_bar(canvas, places[step[end]] - (0 if waits else wide / 2), start, y - 6, colour, waits)
        if "text" in step:
            last = last if step.get("beside") else y
            y = max(y, last + draw_step(canvas, step, places, last, wide))
    return y


def draw_bar(canvas: Canvas, x: float, start: float, end: float, colour: str, waits: bool) -> None:
    width = 11 if waits else 4
    place = f'x="{x - width / 2:.1f}" y="{start:.1f}" width="{width}" height="{end - start:.1f}" rx="2"'
    fill = f' style="fill:url(#{colour}-hatch)"' if waits else ""
    canvas.under += [f'<rect {place} class="paper"/>',
                     f'<rect {place} class="{"box" if waits else "solid"} {colour}"{fill}/>']


def draw_step(canvas: Canvas, step: Table, places: dict[str, float], y: float, wide: float) -> float:
    """Draws a message or a note. Returns the height that it takes."""
    if "from" in step:
        draw_message(canvas, step, places, y)
        return 34
    return draw_note(canvas, step, places[step["at"]], y, wide) + 10


def draw_message(canvas: Canvas, step: Table, places: dict[str, float], y: float) -> None:
    start, end = places[step["from"]], places[step["to"]]
    away = 7 if end > start else -7
    base = y + 22
    canvas.line([(start + away, base), (end - away, base)], step["colour"], step.get("style", ""), arrow=True)
    canvas.text(start + away * 2, base - 6, step["text"], 12, "", "start" if end > start else "end")


def draw_note(canvas: Canvas, step: Table, x: float, y: float, wide: float) -> float:
    """Draws what one CPU does, in a box on its line of life. Returns its height."""
    width = step.get("width", wide - 8)
    lines = [line for text in step["text"] for line in canvas.wrap(text, width - 14, 12)]
    height = ROW * len(lines) + 9
    left = min(max(x - width / 2, MARGIN + 4), WIDTH - MARGIN - 4 - width)
    canvas.box(left, y, width, height, step.get("colour", "grey"))
    for index, line in enumerate(lines):
        canvas.text(left + width / 2, y + 16 + ROW * index, line, 12, "", "middle")
    return height
