"""The library of this checkout against that of another revision, REV: nothing may have become slower.

REV is checked out into a temporary `git worktree`, which is removed at the end. Each version has a process of its own,
and the two take turns, so that whatever else the machine does meets both. Nets, data and training are those of this
checkout for both, and what they compute must agree before it is timed.

In each round each version has two turns, and the one that begins changes from round to round. A turn begins with the
same weights and is cut into pieces of a few milliseconds, of which the quickest counts: what interrupts a program makes
it slower, never quicker. here/REV is the median of the ratios of neighbouring turns; beside it stand the quartiles.
Imports (after NumPy's, by the processor's clock) and peaks of memory are measured in fresh processes; of imports the
difference counts.

✗ marks a bound that is missed; if there is one, the command ends with 1. – marks a row that REV cannot run.
"""

from __future__ import annotations

import argparse
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import memory, predict
from benchmarks.child import ROOT, FailedError, machine
from benchmarks.contest import OURS, DisagreementError, Pace, Spread, agree, ratios, spread, turns
from benchmarks.report import quantity
from benchmarks.speed import THREADS
from benchmarks.versions import GROUPS, UnableError, Version

HERE, REV = "here", "REV"
PIECE, TURN, PIECES = 0.002, 0.04, 3  # seconds of a piece and of a turn, and the pieces of a turn, at least
LINE = "{:<66}{:>10}{:>10}{:>10}  {:<20}{:>9}  {}"


class Bound(NamedTuple):
    """The most that a row may take here: a ratio to REV, or with `added` a difference from it in seconds."""

    most: float
    added: bool = False

    def __str__(self) -> str:
        return f"{1000 * self.most:+g} ms" if self.added else f"{self.most:.2f}"


STEP, SMALL_STEP = Bound(1.03), Bound(1.05)
SMALL = ("XOR", "2-3-2 ", "64-128-10 ")  # how the names of the small ones begin
# memory may not grow: 2% is how far a library is from itself, in folders of other names or in threads
OTHERS = {"predict": Bound(1.10), "import": Bound(0.005, added=True), "memory": Bound(1.02)}


class Compared(NamedTuple):
    """A row and what was measured of it: pairs of neighbours, (REV, here)."""

    name: str
    unit: str
    bound: Bound
    pairs: Sequence[tuple[float, float]]

    @property
    def change(self) -> Spread:
        before, now = zip(*self.pairs, strict=True)
        return spread([b - a for a, b in self.pairs] if self.bound.added else ratios(before, now))

    @property
    def missed(self) -> bool:
        return not self.change.median <= self.bound.most  # not, so that NaN is missed

    def __str__(self) -> str:
        medians = [quantity(spread(figures).median, self.unit) for figures in zip(*self.pairs, strict=True)]
        change, low, high = [f"{1000 * x:+.1f} ms" if self.bound.added else f"{x:.3f}" for x in self.change]
        return LINE.format(self.name, *medians, change, f"{low} to {high}", str(self.bound), "✗" * self.missed).rstrip()


def bound_of(group: str, name: str) -> Bound:
    return OTHERS.get(group) or (SMALL_STEP if name.startswith(SMALL) else STEP)


# measuring


def rows(here: Version, quick: bool) -> dict[str, str]:
    """The group of each row, by its name."""
    found = {name: group for group in GROUPS for name in here.ask("names", group, quick)}
    found["import purenet, after NumPy"] = "import"
    if (memory.PROCESS / "clear_refs").exists():
        found |= {f"peak memory of a step, {title}": "memory" for title in memory.NETS.values()}
    return found


def chosen(every: Mapping[str, str], parts: Sequence[str]) -> dict[str, str]:
    """The rows whose names have one of these parts; all if there are none.

    Raises:
        ValueError: no name has this part.
    """
    for part in parts:
        if not any(part.lower() in name.lower() for name in every):
            raise ValueError(f"no row has {part!r} in its name. The rows are:\n  " + "\n  ".join(every))
    takes = [name for name in every if not parts or any(part.lower() in name.lower() for part in parts)]
    return {name: every[name] for name in takes}


def compare(versions: Mapping[str, Version], group: str, name: str, pace: Pace, quick: bool) -> Compared:
    """Measure a row.

    Raises:
        UnableError: a version cannot run it.
        DisagreementError: the versions compute different numbers.
    """
    bound = bound_of(group, name)
    if group == "memory":
        (size,) = [size for size, title in memory.NETS.items() if name.endswith(title)]
        return Compared(name, "MB", bound, neighbours(versions, pace, lambda version: version.peak(size, quick)))
    if group == "import":
        for version in versions.values():
            version.import_time()  # fills the caches of bytecode and files
        return Compared(name, "s", bound, neighbours(versions, pace, Version.import_time))
    row = group, name, quick
    results, most, taken = zip(*(version.ask("prepare", *row) for version in versions.values()), strict=True)
    check(group, dict(zip(versions, results, strict=True)))
    steps = min(most[0], math.ceil(PIECE / min(taken))) if pace.least else 1
    pieces = max(PIECES, math.ceil(pace.least / (steps * min(taken)))) if pace.least else 1
    return Compared(name, "s", bound, neighbours(versions, pace, lambda v: v.ask("turn", *row, steps, pieces)))


def check(group: str, results: Mapping[str, Any]) -> None:
    if group == "predict":
        predict.agree({OURS: np.array(results[HERE]), REV: np.array(results[REV])})
    else:
        agree(results, 1e-3, HERE)


def neighbours(
    versions: Mapping[str, Version], pace: Pace, figure: Callable[[Version], float]
) -> list[tuple[float, float]]:
    """Two pairs of figures (REV, here) a round, from turns."""
    pairs = []
    for round_ in range(pace.rounds):
        for _ in range(2):
            found = {}
            for name in turns([*versions], round_):
                time.sleep(pace.pause)
                found[name] = figure(versions[name])
            pairs.append((found[REV], found[HERE]))
    return pairs


# revisions


def git(*arguments: str, check: bool = True) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=check, capture_output=True, text=True).stdout.strip()


def commit(rev: str) -> str:
    """The hash that REV stands for."""
    try:
        return git("rev-parse", "--verify", "--end-of-options", f"{rev}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        raise ValueError(f"{rev!r} is no revision of a git repository in {ROOT}") from None


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A checkout of the commit in a temporary folder, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="purenet-") as folder:
        checkout = Path(folder).resolve() / "rev"
        try:
            git("worktree", "add", "--detach", str(checkout), commit)
            yield checkout
        finally:
            git("worktree", "remove", "--force", str(checkout), check=False)


@contextmanager
def running(checkouts: Mapping[str, Path], threads: int) -> Iterator[dict[str, Version]]:
    versions: dict[str, Version] = {}
    try:
        for name, checkout in checkouts.items():
            versions[name] = Version(name, checkout, threads)
        yield versions
    finally:
        for version in versions.values():
            version.end()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks against", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rev", metavar="REV", help="the revision to compare with: a branch, a tag, a commit")
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a row's name, such as lenet; else all rows")
    parser.add_argument("--rounds", type=int, default=9, help="two turns of each version in each (default 9)")
    parser.add_argument("--threads", choices=[*THREADS], default="both", help="default: both, two first")
    parser.add_argument("--quick", action="store_true", help="small batches, one short round: only to see that it runs")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds takes 1 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that the worktree is removed
    pace = Pace(1, 0.0, 0.0) if options.quick else Pace(options.rounds, TURN)
    try:
        found = run(commit(options.rev), options, pace)
    except (ValueError, FailedError) as error:
        sys.exit(str(error))
    if options.quick:
        print("\nThis was a quick run: its times say nothing.")
    elif missed := sum(found):
        sys.exit(f"\n{missed} of {len(found)} bounds are missed")
    else:
        print(f"\nall {len(found)} bounds hold")


def run(rev: str, options: argparse.Namespace, pace: Pace) -> list[bool]:
    """Print the rows, and return whether each missed its bound."""
    found = []
    here = f"{git('rev-parse', 'HEAD')[:10]}{' with changes' * bool(git('status', '--porcelain'))}"
    print(f"{machine()['cpu']}; here: {here}; REV: {rev[:10]} {git('show', '--no-patch', '--format=%s', rev)}")
    with worktree(rev) as checkout:
        for threads in THREADS[options.threads]:
            with running({REV: checkout, HERE: ROOT}, threads) as versions:
                rows_here = chosen(rows(versions[HERE], options.quick), options.names)
                title = f"{threads} thread{'s' * (threads > 1)}"
                print("\n" + LINE.format(title, REV, HERE, f"{HERE}/{REV}", "quartiles", "bound", "").rstrip())
                for name, group in rows_here.items():
                    try:
                        row = compare(versions, group, name, pace, options.quick)
                        found.append(row.missed)
                        print(row, flush=True)
                    except (UnableError, DisagreementError) as error:
                        new = isinstance(error, UnableError) and error.version == REV  # a layer that is not there yet
                        found += [True] * (not new)
                        print(f"{name}: {'–' if new else '✗'} {error}", flush=True)
    return found
