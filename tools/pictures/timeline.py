# SPDX-License-Identifier: MIT
"""
One fault in time, over two CPUs, under each strategy: drawn from docs/pictures/three-ways.trace, which is recorded.

`user/tour three-ways` holds a fault when its new page is ready, and lets another CPU unmap a page of the same VMA.
Under --deterministic, time is instructions, and each run is the same. The times of the file begin with the fault; long
stretches in which nothing begins or ends are cut out of the picture.
"""

import dataclasses
import pathlib

from faultline_host import options, recording
from faultline_host.recording import Event

from . import names
from .svg import MARGIN, WIDTH, Canvas, width_of

FILE = "docs/pictures/three-ways.trace"
PROGRAM, SCENE = "build/user/tour", "three-ways"
RUN = ("--deterministic", "--cpus", "3", "--swap", "1M")
HEAD = f"""\
# One fault under each strategy: `tools/generate-docs --record` runs {PROGRAM} {SCENE} on the debug kernel, and
# keeps what happened from the fault that is held to the end of the munmap. The lines are those of /proc/fault_trace
# (docs/tracing.md); what is a nanosecond there is an instruction here, counted from the beginning of the fault.
"""

LEFT, TOP = 104, 84  # where time begins; the first strategy
LANE, BETWEEN, PANEL = 26, 26, 158
PER_PIXEL, LONGEST, CUT = 60, 10000, 60  # instructions; the longest stretch that is drawn; the width of one cut out

COLOUR = {"mmap": "amber", "vma": "blue", "spec": "green"}
SPECULATES = "holds no lock: RCU only"
TELLS = {
    "mmap": ("Under mmap_lock", "munmap cannot even begin before the fault has ended."),
    "vma": ("Under the VMA's lock", "munmap gets mmap_lock, but waits for this VMA's readers."),
    "spec": ("Speculatively", "munmap waits for nothing; the fault sees the change, and gives up."),
}


def record() -> None:
    """Runs the scene under each strategy, and writes the file."""
    text = HEAD
    for policy in TELLS:
        parser = options.run_parser("generate-docs", "")
        chosen = options.parse_run([*RUN, "--fault", policy, str(names.ROOT / PROGRAM), SCENE], parser)
        recorded = recording.record(chosen)
        events = window(recorded.in_ticks())
        origin = events[0].start
        lines = "".join(line_of(event, origin) for event in sorted(events, key=lambda event: event.start))
        text += f"\npolicy {policy}\n{lines}"
    (names.ROOT / FILE).write_text(text)


def window(events: list[Event]) -> list[Event]:
    """Returns the held fault, whose attempt took longest, its later attempts, and all of the munmap."""
    held = max((event for event in events if event.name == "attempt"), key=lambda event: event.end - event.start)
    munmap = next(event for event in events if event.name == "mmap_write" and event.end > held.start and
                  event.tid != held.tid)
    last = max([munmap.end] + [event.end for event in events if event.name == "attempt" and event.tid == held.tid and
                               event.keys["address"] == held.keys["address"]])
    return [held] + [event for event in events if held.start <= event.start and event.end <= last and
                     event is not held and event.cpu in (held.cpu, munmap.cpu)]


def line_of(event: Event, origin: int) -> str:
    start = event.start - origin
    keys = "".join(f" {key}={value}" for key, value in event.keys.items())
    return (f"[{event.cpu:03}] {start // recording.NS_PER_SECOND}.{start % recording.NS_PER_SECOND:09} "
            f"+{event.end - event.start} tid={event.tid} {event.name}{keys}\n")


def read(path: pathlib.Path) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    policy = ""
    for line in path.read_text().splitlines():
        if line.startswith("policy "):
            policy = line.split()[1]
        elif line.startswith("["):
            found.setdefault(policy, []).append(recording.parse_event(line))
    return found


class Clock:
    """Where each moment is drawn."""

    def __init__(self, events: list[Event]) -> None:
        self.moments = sorted({moment for event in events for moment in (event.start, event.end)})
        self.places, self.cuts = [float(LEFT)], []
        for before, after in zip(self.moments, self.moments[1:]):
            if after - before > LONGEST:
                self.cuts.append((self.places[-1], after - before))
                self.places.append(self.places[-1] + CUT)
            else:
                self.places.append(self.places[-1] + (after - before) / PER_PIXEL)

    def at(self, moment: int) -> float:
        return self.places[self.moments.index(moment)]


@dataclasses.dataclass
class Panel:
    """The two lanes of one strategy: the CPU that faults above, the CPU that unmaps below."""
    canvas: Canvas
    policy: str
    y: float
    events: list[Event]

    def __post_init__(self) -> None:
        self.clock = Clock(self.events)
        self.fault_y, self.munmap_y = self.y + 32, self.y + 32 + LANE + BETWEEN
        self.attempts = self.of("attempt")
        self.munmap = self.of("mmap_write")[0]

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def bar(self, y: float, height: float, start: int, end: int, colour: str, style: str = "box") -> None:
        left, right = self.clock.at(start), self.clock.at(end)
        self.canvas.box(left, y, right - left, height, colour, 4, style)

    def draw(self) -> None:
        title, sentence = TELLS[self.policy]
        area = self.canvas.text(MARGIN, self.y, title, 14, "b")
        self.canvas.text(area[2] + 8, self.y, sentence, 12.5)
        for y, cpu, what in ((self.fault_y, self.attempts[0].cpu, "fault"), (self.munmap_y, self.munmap.cpu, "munmap")):
            self.canvas.text(MARGIN, y + 11, f"CPU {cpu}", 12.5, "b")
            self.canvas.text(MARGIN, y + 26, what, 12.5, "quiet")
            self.canvas.line([(LEFT - 8, y + LANE / 2), (WIDTH - MARGIN, y + LANE / 2)], "rule", under=True)
        self.draw_fault()
        self.draw_munmap()
        for place, instructions in self.clock.cuts:
            self.draw_cut(place, instructions)

    def draw_fault(self) -> None:
        for event in self.attempts:
            strategy, end = event.keys["strategy"], self.clock.at(event.end)
            self.bar(self.fault_y, LANE, event.start, event.end, COLOUR[strategy])
            middle = (self.clock.at(event.start) + end) / 2
            label = SPECULATES if strategy == "spec" else strategy
            half = width_of(label, 12) / 2 + 8
            if all(abs(place + CUT / 2 - middle) > half for place, _ in self.clock.cuts):
                self.canvas.text(middle, self.fault_y + LANE / 2 + 4.2, label, 12, "", "middle")
            if "reason" in event.keys:
                said = f"gave up: `{event.keys['reason']}`"
                self.canvas.text(end, self.fault_y - 8, said, 12, COLOUR[strategy], "end")
            elif event is self.attempts[0]:
                self.canvas.text(end + 8, self.fault_y + LANE / 2 + 4.2, "resolved, unlocked", 12,
                                 f"{COLOUR[strategy]} halo")
            else:
                self.canvas.text(end, self.fault_y - 8, "resolved", 12, COLOUR[strategy], "end")

    def draw_munmap(self) -> None:
        y, event = self.munmap_y, self.munmap
        for wait in self.of("lock_wait"):
            self.waits(wait.start, wait.end, "waits for mmap_lock")
        locked = self.of("vma_write")
        self.bar(y, LANE, event.start, event.end, "purple")
        if locked[0].start - event.start > LONGEST:
            fault_ends = self.attempts[0].end
            self.waits(event.start, fault_ends, "waits for the VMA")
        self.bar(y + LANE - 9, 9, locked[0].start, event.end, "purple", "solid")
        for flush, asked in zip(self.of("flush"), self.of("shootdown")):
            x = (self.clock.at(asked.start) + self.clock.at(flush.start)) / 2
            self.canvas.line([(x, y), (x, self.fault_y + LANE)], "red", arrow=True)
            self.canvas.box(x - 2.5, self.fault_y + 3, 5, LANE - 6, "red", 2, "solid")
            self.canvas.text(x - 8, y - 8, "shootdown", 12, "red", "end")

    def waits(self, start: int, end: int, words: str) -> None:
        left, right = self.clock.at(start), self.clock.at(end)
        self.canvas.raw(f'<rect x="{left:.1f}" y="{self.munmap_y:.1f}" width="{right - left:.1f}" height="{LANE}" '
                        'rx="4" class="box purple" style="fill:url(#purple-hatch)"/>')
        self.canvas.text(left, self.munmap_y + LANE + 15, words, 12, "purple")

    def draw_cut(self, place: float, instructions: int) -> None:
        """Draws the gap in both lanes, and how much is not drawn."""
        middle = place + CUT / 2
        top, bottom = self.fault_y - 3, self.munmap_y + LANE + 3
        for y in (self.fault_y, self.munmap_y):
            self.canvas.raw(f'<path d="M{middle - 6:.1f} {y + LANE + 4:.1f}l7 {-LANE - 8}h7l-7 {LANE + 8}z" '
                            'style="fill:var(--paper)"/>'
                            f'<path d="M{middle - 6:.1f} {y + LANE + 4:.1f}l7 {-LANE - 8}m7 0l-7 {LANE + 8}" '
                            'class="line grey"/>')
        self.canvas.text(middle, (top + bottom) / 2 + 4, f"{instructions / 1e6:.1f} M", 11, "quiet", "middle")


def draw() -> str:
    canvas = Canvas("three-ways", "One fault, three ways: who waits for whom")
    canvas.text(MARGIN, 32, canvas.title, 17, "b")
    canvas.paragraph(MARGIN, 54, WIDTH - 2 * MARGIN, "CPU 1 writes to a new page and is held when the page is ready. "
                     "Then CPU 2 unmaps another page of the same VMA.", 12.5, "quiet")
    y = TOP + 20
    for policy, events in read(names.ROOT / FILE).items():
        Panel(canvas, policy, y, events).draw()
        for event in events:
            names.check("three-ways.trace", event.name)
        y += PANEL
    explain(canvas, y - 8)
    for shown in canvas.names:
        names.check("three-ways.trace", shown)
    return canvas.svg()


def explain(canvas: Canvas, y: float) -> None:
    """Draws what the colours of the lower lanes mean, and the scale."""
    canvas.box(LEFT, y - 10, 28, 13, "purple", 3)
    canvas.text(LEFT + 38, y, "holds mmap_lock for writing", 12, "quiet")
    canvas.box(LEFT + 246, y - 10, 28, 13, "purple", 3)
    canvas.box(LEFT + 246, y - 3, 28, 6, "purple", 2, "solid")
    canvas.text(LEFT + 284, y, "and the VMA", 12, "quiet")
    y += 24
    wide = 5000 / PER_PIXEL
    canvas.line([(LEFT, y - 8), (LEFT, y)], "grey")
    canvas.line([(LEFT, y - 4), (LEFT + wide, y - 4)], "grey")
    canvas.line([(LEFT + wide, y - 8), (LEFT + wide, y)], "grey")
    canvas.text(LEFT + wide + 10, y, "5,000 instructions. 1.1 M: so many millions are left out.", 12, "quiet")
