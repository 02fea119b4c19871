# SPDX-License-Identifier: MIT
"""
The pictures of the documents, which tools/generate-docs writes to docs/pictures/. docs/pictures/README.md says what
each is drawn from.
"""

import collections.abc
import functools

from . import coverage, diagram, rooms, sequence, timeline

PAGES: dict[str, collections.abc.Callable[[], str]] = {
    "docs/pictures/three-ways.svg": timeline.draw,
    "docs/pictures/vma.svg": functools.partial(diagram.draw, "vma"),
    "docs/pictures/entry.svg": coverage.entry,
    "docs/pictures/page.svg": coverage.page,
    "docs/pictures/shootdown.svg": functools.partial(sequence.draw, "shootdown"),
    "docs/pictures/rooms.svg": rooms.draw,
}

record = timeline.record
