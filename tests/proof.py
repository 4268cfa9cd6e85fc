"""What was tried against strongroom and, where it shows something, against its peers: `make proof` prints the table.

A test says what it tried after it has asserted the outcome, so that a row stands only for what held.
`tests/conftest.py` takes these names for all tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

import pytest

_PROPERTY: Final = "proof"


class Row(NamedTuple):
    """A line of the table; rows that differ in nothing but their tests are one, with the sum of their counts."""

    promise: str
    attack: str
    outcome: str
    peers: tuple[tuple[str, str], ...]


class Tried(Protocol):
    """Enters what a test has tried."""

    def __call__(
        self, promise: str, attack: str, outcome: str, *, count: int = 1, peers: Mapping[str, str] | None = None
    ) -> None:
        """Say which promise (`P4`) was attacked how, how often, what strongroom did, and what other tools do."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `--proof`."""
    parser.addoption("--proof", action="store_true", help="try everything as often as the proof asks; print the table")


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark of tests that are for the proof alone."""
    config.addinivalue_line("markers", "proof: only in `make proof`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the proof alone."""
    if not config.getoption("--proof"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("proof")])
        items[:] = [item for item in items if not item.get_closest_marker("proof")]


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Enter what this test has tried into the table."""

    def enter(
        promise: str, attack: str, outcome: str, *, count: int = 1, peers: Mapping[str, str] | None = None
    ) -> None:
        row = [promise, attack, outcome, sorted((peers or {}).items()), count]
        request.node.user_properties.append((_PROPERTY, row))

    return enter


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`times(few, many)`: how often to try something, in `make test` and in `make proof`."""
    proof: bool = request.config.getoption("--proof")
    return lambda few, many: many if proof else few


def for_proof_alone(times: Callable[[int, int], int]) -> None:
    """Skip a test in `make test` that takes long, and shows little that others do not show there."""
    if not times(0, 1):
        pytest.skip("tried by `make proof` alone, since it takes long")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, once all is done."""
    if config.getoption("--proof"):
        counts = Counter[Row]()
        for promise, attack, outcome, peers, count in _entered(terminalreporter):
            counts[Row(promise, attack, outcome, tuple((tool, said) for tool, said in peers))] += count
        terminalreporter.section("what was tried")
        for line in table(counts):
            terminalreporter.write_line(line)


def _entered(terminalreporter: pytest.TerminalReporter) -> Iterator[list]:
    for report in terminalreporter.stats.get("passed", []):
        yield from (value for name, value in report.user_properties if name == _PROPERTY)


def table(counts: Mapping[Row, int]) -> list[str]:
    """The rows as a Markdown table, by promise."""
    lines = ["| promise | tried | times | strongroom | others |", "| --- | --- | ---: | --- | --- |"]
    for row, count in sorted(counts.items(), key=lambda item: (int(item[0].promise[1:]), item[0])):
        others = "; ".join(f"{tool}: {said}" for tool, said in row.peers)
        lines.append(f"| {row.promise} | {row.attack} | {count:,} | {row.outcome} | {others} |")
    return [*lines, f"{sum(counts.values()):,} in all"]
