"""A version of the library in a process of its own, which takes its turns as it is asked to.

The nets, the data and the way to train are those of this checkout; the library is that of any checkout.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.child import ROOT, FailedError, bind, environment
from benchmarks.contest import OURS, seconds
from benchmarks.rows import TRAINING

GROUPS = (*TRAINING, "predict")
TWO_ADAMS = ("2-3-2", "64-128-10")  # these train with `adam()`, and with `chain(joined(), adam())`


class UnableError(Exception):
    """A version cannot run a row; `version` is its name."""

    def __init__(self, version: str, why: str) -> None:
        super().__init__(f"{version} cannot run it: {why}")
        self.version = version


class Version:
    """The process of one version, as the one that compares sees it."""

    def __init__(self, name: str, checkout: Path, threads: int) -> None:
        self.name, self.checkout, self.threads = name, checkout, threads
        self.environment = environment(threads)
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an import is that of a library whose bytecode is there
        self.process = subprocess.Popen(
            self.command("serve()"),
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for who compares
        )

    def command(self, code: str) -> list[str]:
        """Runs this code where the library is that of this version, and `benchmarks` that of this checkout."""
        first = f"from benchmarks.versions import enter, serve; enter({str(self.checkout)!r}, {self.threads})"
        return [sys.executable, "-c", f"{first}; {code}"]

    def ask(self, do: str, *arguments: Any) -> Any:
        """What one of the functions below returns.

        Raises:
            UnableError: it has raised an error.
            FailedError: the process has ended.
        """
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            print(json.dumps([do, *arguments]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise FailedError(f"the process of {self.name} has ended: see above")
        answer = json.loads(line)
        if "error" in answer:
            raise UnableError(self.name, answer["error"])
        return answer["returned"]

    def peak(self, size: str, quick: bool) -> float:
        """Megabytes of a training step, in a process of its own."""
        return self.printed(
            self.command(f"from benchmarks import memory; print(memory.measure({size!r}, {OURS!r}, {quick}))")
        )

    def import_time(self) -> float:
        """Seconds of the processor for `import purenet`, in a process of its own that has imported NumPy."""
        first = f"import sys, numpy; sys.path.insert(0, {str(self.checkout)!r}); from time import process_time as clock"
        return self.printed([sys.executable, "-c", f"{first}; start = clock(); import purenet; print(clock() - start)"])

    def printed(self, command: list[str]) -> float:
        done = subprocess.run(command, env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise UnableError(self.name, "see above")
        return float(done.stdout)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


# what runs in the process


def enter(checkout: str, threads: int) -> None:
    """Hold this process to its threads, and let it import the library of this checkout."""
    bind(threads)
    sys.path.insert(0, checkout)


def serve() -> None:
    """Answer each call, a line of JSON, by what it returns or the error that it raises."""
    import purenet

    if not Path(purenet.__file__).is_relative_to(sys.path[0]):
        sys.exit(f"there is no library in {sys.path[0]}")
    functions = {function.__name__: function for function in (names, prepare, turn)}
    for line in sys.stdin:
        do, *arguments = json.loads(line)
        try:
            answer = {"returned": functions[do](*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


class Row(NamedTuple):
    """What is timed.

    Fields:
        start: begins with the weights that all begin with, and returns a run of so many steps.
        most: how many steps there are.
        result: numbers in which all versions must agree.
    """

    start: Callable[[int], Callable[[], Any]]
    most: int
    result: Callable[[], list[float]]


@cache
def rows_of(group: str, quick: bool) -> dict[str, Row]:
    """The rows of a group, by name."""
    from benchmarks import predict, works

    if group == "predict":
        return {predict.title(work): prediction(work) for work in predict.works(quick)}
    return dict(row for work in getattr(works, group)(quick) for row in training(work))


def training(work: Any) -> Iterator[tuple[str, Row]]:
    """The row of a work, and another one where there are two forms of Adam."""
    import purenet as pn
    from benchmarks.peers import ours

    params = work.init()

    def row(optimizer: Any = None) -> Row:
        def losses() -> list[float]:
            entry = ours.start(work, params, optimizer)
            assert entry.loss
            before = float(entry.loss())
            entry.epoch()
            return [before, float(entry.loss())]

        def start(steps: int) -> Callable[[], Any]:
            return ours.start(work._replace(batches=work.batches[:steps]), params, optimizer).epoch

        return Row(start, len(work.batches), losses)

    if work.optimizer == "adam" and work.size in TWO_ADAMS:
        yield work.title, row(pn.adam(work.lr))
        yield f"{work.title}, joined", row(pn.chain(pn.joined(), pn.adam(work.lr)))
    else:
        yield work.title, row()


def prediction(work: Any) -> Row:
    from benchmarks.peers import ours

    predict = ours.predict(work, work.init())

    def start(steps: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(steps):
                predict()

        return run

    return Row(start, 1000, lambda: predict().ravel().tolist())


def names(group: str, quick: bool) -> list[str]:
    return [*rows_of(group, quick)]


def prepare(group: str, name: str, quick: bool) -> tuple[list[float], int, float]:
    """The row's result, how many steps there are, and about how many seconds one takes."""
    row = rows_of(group, quick)[name]
    run = row.start(row.most)
    run()
    return row.result(), row.most, min(seconds(run, 1, time.perf_counter) for _ in range(2)) / row.most


def turn(group: str, name: str, quick: bool, steps: int, pieces: int) -> float:
    """Seconds a step, in the quickest of so many pieces. One that does not count goes before."""
    run = rows_of(group, quick)[name].start(steps)
    gc.collect()
    gc.disable()
    try:
        run()
        return min(seconds(run, 1, time.perf_counter) for _ in range(pieces)) / steps
    finally:
        gc.enable()
