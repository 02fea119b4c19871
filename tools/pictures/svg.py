# SPDX-License-Identifier: MIT
"""
The canvas of all pictures: one style sheet with colours for light and dark, text that is measured, and a check that no
text is cut or crossed.

A picture may be shown with any font, so text is measured as if set in a wide one. What would not fit, or would meet
another text or a line, is an error that names the picture and the text.
"""

import collections.abc
import html
import math
import re
import sys

WIDTH = 640  # of every picture: still legible when a telephone shows it at half the size
MARGIN = 20

# (ink, fill) of each colour, in the light and in the dark. Each ink is legible on its fill and on the paper.
COLOURS = {
    "grey": (("#59636e", "#f3f5f7"), ("#9198a1", "#1c222b")),
    "blue": (("#0860ca", "#ddf0ff"), ("#6cb2ff", "#10294a")),
    "green": (("#176f30", "#dcf8e3"), ("#56d364", "#11351d")),
    "amber": (("#8a5a00", "#fff1c2"), ("#e3b341", "#3b2c07")),
    "red": (("#c11f2b", "#ffe8e6"), ("#ff8078", "#48191b")),
    "purple": (("#7443cf", "#f3eaff"), ("#c297ff", "#2e2150")),
}
PAPER, INK, RULE = ("#ffffff", "#0d1117"), ("#1f2328", "#f0f6fc"), ("#c4ccd4", "#3d444d")

Point = tuple[float, float]
Area = tuple[float, float, float, float]  # left, top, right, bottom


def style() -> str:
    """Returns the style sheet. The paper is painted, since a page may be dark when the reader's system is not."""
    def variables(mode: int) -> str:
        found = [f"--paper:{PAPER[mode]}", f"--ink:{INK[mode]}", f"--rule:{RULE[mode]}"]
        for name, modes in COLOURS.items():
            found += [f"--{name}:{modes[mode][0]}", f"--{name}-fill:{modes[mode][1]}"]
        return ";".join(found)

    rules = [f":root{{{variables(0)}}}",
             f"@media screen and (prefers-color-scheme:dark){{:root{{{variables(1)}}}}}",
             "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:var(--ink)}",
             ".m{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace}",
             ".b{font-weight:600}", ".quiet{fill:var(--grey)}", ".on{fill:var(--paper);font-weight:600}",
             ".paper{fill:var(--paper);stroke:var(--rule)}", ".line{fill:none;stroke-width:1.6}",
             ".box{stroke-width:1.4}", ".dashed{stroke-dasharray:5 4}", ".rule{stroke:var(--rule)}"]
    for name in COLOURS:
        rules += [f".{name}{{stroke:var(--{name});fill:var(--{name}-fill)}}", f".line.{name}{{fill:none}}",
                  f".solid.{name}{{fill:var(--{name});stroke:none}}",
                  f"text.{name}{{fill:var(--{name});stroke:none}}"]
    rules.append("text.halo{stroke:var(--paper);stroke-width:5px;paint-order:stroke}")
    return "\n".join(rules)


def width_of(text: str, size: float, mono: bool = False, bold: bool = False) -> float:
    """Returns the width of the text in a wide font (DejaVu Sans, or its monospaced sister)."""
    if mono:
        return 0.602 * size * len(text)
    units = 0.0
    for char in text:
        if char in "ijlI.,:;'|!":
            units += 0.32
        elif char in " frt()[]-/“”":
            units += 0.39
        elif char in "mwMW@%—…→":
            units += 0.95
        else:
            units += 0.69 if char.isupper() else 0.62
    return units * size * (1.08 if bold else 1)


def segments(text: str) -> list[tuple[str, bool]]:
    """Splits a text at its backticks: (part, whether it is a name)."""
    return [(part, bool(number % 2)) for number, part in enumerate(text.split("`")) if part]


class Canvas:
    """One picture, which grows downwards."""

    def __init__(self, name: str, title: str) -> None:
        self.name, self.title = name, title
        self.under: list[str] = []  # drawn first
        self.body: list[str] = []
        self.texts: list[tuple[Area, str]] = []
        self.numbers: list[tuple[Area, str]] = []  # of badges: texts that a line may cross
        self.lines: list[tuple[Point, Point]] = []
        self.names: list[str] = []  # what stood in backticks
        self.bottom = 0.0
        self.colours: set[str] = set()  # of arrow heads

    def reach(self, y: float) -> None:
        self.bottom = max(self.bottom, y)

    # ---- Text ----

    def text(self, x: float, y: float, text: str, size: float = 13, style_: str = "", anchor: str = "start") -> Area:
        """Draws one line of text; parts in backticks are names. (x, y) is on the base line. Returns its area."""
        bold, mono = "b" in style_.split() or "on" in style_.split(), "m" in style_.split()
        parts = segments(text)
        width = sum(width_of(part, size * (0.94 if is_name and not mono else 1), is_name or mono, bold)
                    for part, is_name in parts)
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        area = (left, y - size * 0.78, left + width, y + size * 0.22)
        self.keep_clear(area, text, self.numbers if "on" in style_.split() else self.texts)
        self.names += [part for part, is_name in parts if is_name]
        spans = "".join(f'<tspan class="m" font-size="{number(size * 0.94)}">{html.escape(part)}</tspan>'
                        if is_name and not mono else html.escape(part) for part, is_name in parts)
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        classed = f' class="{style_}"' if style_ else ""
        self.body.append(f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}"{anchored}{classed}>'
                         f"{spans}</text>")
        self.reach(y)
        return area

    def paragraph(self, x: float, y: float, width: float, text: str, size: float = 13, style_: str = "") -> float:
        """Draws text in lines of at most this width. Returns the base line after the last one."""
        for line in self.wrap(text, width, size):
            self.text(x, y, line, size, style_)
            y += size * 1.42
        return y

    def wrap(self, text: str, width: float, size: float) -> list[str]:
        def measure(line: str) -> float:
            return sum(width_of(part, size * (0.94 if is_name else 1), is_name) for part, is_name in segments(line))

        lines, line = [], ""
        for word in re.findall(r"[^\s`]*`[^`]*`[^\s`]*|\S+", text):
            longer = f"{line} {word}".strip()
            if line and measure(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        return [*lines, line]

    def keep_clear(self, area: Area, text: str, others: list[tuple[Area, str]]) -> None:
        if area[0] < 4 or area[2] > WIDTH - 4:
            sys.exit(f"docs/pictures/{self.name}.svg: “{text}” is cut: it reaches from {area[0]:.0f} to {area[2]:.0f}")
        for other, words in self.texts + self.numbers:
            if meet(area, other):
                sys.exit(f"docs/pictures/{self.name}.svg: “{text}” overlaps “{words}”")
        others.append((area, text))

    def check_lines(self) -> None:
        for start, end in self.lines:
            area = (min(start[0], end[0]), min(start[1], end[1]), max(start[0], end[0]), max(start[1], end[1]))
            for other, words in self.texts:
                if (start[0] == end[0] or start[1] == end[1]) and meet(area, other):
                    sys.exit(f"docs/pictures/{self.name}.svg: the line {start} – {end} crosses “{words}”")

    # ---- Shapes ----

    def box(self, x: float, y: float, width: float, height: float, colour: str = "grey", radius: float = 6,
            style_: str = "box") -> None:
        self.body.append(f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" '
                         f'rx="{number(radius)}" class="{style_} {colour}"/>')
        self.reach(y + height)

    def line(self, points: collections.abc.Sequence[Point], colour: str = "grey", style_: str = "",
             arrow: bool = False, under: bool = False) -> None:
        """Draws a line with rounded corners, with an arrow head at its end if wanted; `under` all else if so."""
        if not under:
            self.lines += list(zip(points, points[1:]))
        head = f' marker-end="url(#{colour})"' if arrow else ""
        if arrow:
            self.colours.add(colour)
        (self.under if under else self.body).append(
            f'<path d="{rounded(points)}" class="{f"line {style_}".strip()} {colour}"{head}/>')
        self.reach(max(y for _, y in points))

    def raw(self, element: str) -> None:
        self.body.append(element)

    def badge(self, x: float, y: float, text: str, colour: str) -> None:
        """Draws a number in a filled circle."""
        self.body.append(f'<circle cx="{number(x)}" cy="{number(y)}" r="9.5" class="solid {colour}"/>')
        self.text(x, y + 4.2, text, 11.5 if len(text) < 2 else 10.5, "on", "middle")

    def key(self, y: float, entries: collections.abc.Sequence[tuple[str, str]]) -> float:
        """Draws a line that says what each colour means. Returns the base line after it."""
        x = float(MARGIN)
        for colour, words in entries:
            width = 18 + sum(width_of(part, 12.5, name) for part, name in segments(words))
            if x + width > WIDTH - MARGIN:
                x, y = MARGIN, y + 19
            self.box(x, y - 10, 12, 12, colour, 3)
            self.text(x + 18, y, words, 12.5)
            x += width + 18
        return y + 20

    # ---- The whole ----

    def svg(self) -> str:
        self.check_lines()
        height = number(self.bottom + MARGIN)
        heads = "".join(f'<marker id="{colour}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7.5" '
                        f'markerHeight="7.5" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 .6 10 5 0 9.4z" '
                        f'class="solid {colour}"/></marker>' for colour in sorted(self.colours))
        drawn = "".join(self.under + self.body)
        hatches = "".join(f'<pattern id="{colour}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
                          f'patternTransform="rotate(45)"><path d="M0 0V6" class="{colour}" stroke-width="2.6"/>'
                          "</pattern>" for colour in sorted(COLOURS) if f"{colour}-hatch" in drawn)
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img">',
            "<!-- Generated by tools/generate-docs: see docs/pictures/README.md. -->",
            f"<title>{html.escape(self.title)}</title>", f"<style>\n{style()}\n</style>",
            f"<defs>{heads}{hatches}</defs>" if heads or hatches else "",
            f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{number(self.bottom + MARGIN - 1)}" rx="8" '
            'class="paper"/>', *self.under, *self.body, "</svg>", ""]).replace("\n\n", "\n")


def meet(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def number(value: float) -> str:
    """Returns the number as SVG wants it, in its shortest form."""
    return f"{value:.1f}".removesuffix(".0")


def rounded(points: collections.abc.Sequence[Point], radius: float = 7) -> str:
    """Returns a path through the points whose corners are round."""
    path = f"M{number(points[0][0])} {number(points[0][1])}"
    for before, corner, after in zip(points, points[1:], points[2:]):
        first, second = towards(corner, before, radius), towards(corner, after, radius)
        path += (f"L{number(first[0])} {number(first[1])}Q{number(corner[0])} {number(corner[1])} "
                 f"{number(second[0])} {number(second[1])}")
    return path + f"L{number(points[-1][0])} {number(points[-1][1])}"


def towards(start: Point, end: Point, distance: float) -> Point:
    """Returns the point at that distance from the start, at most halfway."""
    length = math.dist(start, end)
    share = min(distance, length / 2) / length if length else 0
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
