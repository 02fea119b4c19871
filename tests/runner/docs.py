# SPDX-License-Identifier: MIT
"""
Jobs that run the checks of sources and documents: generated documents are up to date, every race point is in a script,
and the sources follow the rules that a search can check.
"""

from .job import Job, Result


def jobs() -> list[Job]:
    return [
        Job(name="docs/generated", command=["tools/generate-docs", "--check"], judge=complaints, weight=1),
        Job(name="docs/pictures-planted", command=["tests/check-pictures"], judge=complaints, weight=1),
        Job(name="docs/entries", command=["tests/check-entries"], judge=complaints, weight=1),
        Job(name="docs/budgets", command=["tests/check-budgets"], judge=complaints,
            says=lambda result: result.stdout.decode().strip(), weight=1),
        Job(name="docs/budgets-planted", command=["tests/check-budgets", "--self-test"], judge=complaints, weight=1),
        Job(name="docs/codes", command=["tests/check-codes"], judge=complaints, weight=1),
        Job(name="docs/codes-planted", command=["tests/check-codes", "--self-test"], judge=complaints, weight=1),
        Job(name="docs/columns", command=["tests/check-format", "--columns"], judge=complaints, weight=1),
        Job(name="docs/rooms", command=["tests/check-rooms"], judge=complaints, weight=1),
        Job(name="docs/rooms-planted", command=["tests/check-rooms", "--self-test"], judge=complaints, weight=1),
        Job(name="docs/names", command=["tests/check-names"], judge=complaints, weight=1),
        Job(name="docs/names-planted", command=["tests/check-names", "--self-test"], judge=complaints, weight=1),
        Job(name="docs/contracts", command=["tests/check-contracts"], judge=complaints, weight=1),
        Job(name="docs/contracts-planted", command=["tests/check-contracts", "--self-test"], judge=complaints,
            weight=1),
    ]


def soak_jobs() -> list[Job]:
    """Returns the checks that take long, or need packages that the others do not."""
    return [
        Job(name="docs/format", command=["tests/check-format"], judge=complaints,
            says=lambda result: result.stdout.decode().strip(), weight=1),
        Job(name="docs/format-planted", command=["tests/check-format", "--self-test"], judge=complaints, weight=1),
        Job(name="docs/python", command=["tests/check-python"], judge=complaints, weight=2),
        Job(name="docs/python-planted", command=["tests/check-python", "--self-test"], judge=complaints, weight=2),
    ]


def complaints(result: Result) -> list[str]:
    return [] if result.status == 0 else [result.stderr.decode(errors="replace").strip()]
