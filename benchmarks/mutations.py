"""Breaks the rules on purpose, one small change at a time, and reports which changes the tests catch.

`python -m benchmarks mutations [part of a file name ...] [--sample N] [--seed S]`; `--sample 0` takes every mutant.

A mutant is a rule file with one change, made in its syntax tree inside a function: + for −, * for /, a factor or a `.T`
left out, the operands of a product of matrices swapped, a sign, a number, a comparison, a condition turned round, an
augmented assignment left out, the first axis for the last. Checks of arguments, errors and names are left alone. It is
killed if the library does not import, if `check_vjp` objects in one of the catalogue's cases that run the changed
function (of very many the quickest), if a test of the file (`TESTS`) or a doctest fails, or if it all takes more than
three times as long as it does without the change.

Not every survivor is a gap in the tests. Many are equivalent: they change only the speed (a branch that spares work) or
nothing at all (`x > 0` for `x >= 0` where both sides agree at 0). The engine has many of these: it chooses between
forms that give the same. Others change what only the oracles look at; few of those are run here, for JAX. Each survivor
is for a reader to judge.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import SourceFileLoader
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RULES = (
    "purenet/layers/*.py",
    "purenet/losses/*.py",
    "purenet/combinators/*.py",
    "purenet/optimizers/*.py",
    "purenet/engine/*.py",
    "purenet/spec/*.py",
    "purenet/training/*.py",
    "purenet/tree/*.py",
    "purenet/random.py",
    "purenet/values.py",
)

TESTS = {  # the tests of each file, and of all files of a folder; no other has to do with it, or it is too slow
    "combinators": ("combinators", "guard"),
    "combinators/chain": ("recurrent",),
    "combinators/compose": ("buffers",),
    "combinators/padding": ("recurrent",),
    "engine": ("recorded",),
    "engine/arrays": (
        *("mistakes", "errors", "optimizers", "package"),
        "oracles/engines::test_cast_takes_the_dtypes_of_every_engine",
    ),
    "engine/attention": ("ops_recurrent", "attention"),
    "engine/chain": ("guard",),
    "engine/convolution": ("ops_windows", "conv"),
    "engine/jax": ("oracles/jax_ops", "oracles/jax_host", "oracles/jax_storage", "oracles/registered"),
    "engine/jax_convolution": ("oracles/jax_ops",),
    "engine/moving": ("oracles/engines",),
    "engine/numpy": ("ops", "ops_recurrent", "guard"),
    "engine/numpy_convolution": ("ops_windows", "conv"),
    "engine/numpy_recurrence": ("ops_recurrent", "recurrent"),
    "engine/numpy_windows": ("ops_windows", "conv"),
    "engine/ops": ("ops", "ops_recurrent", "ops_windows"),
    "engine/recurrence": ("ops_recurrent", "recurrent"),
    "engine/select": ("guard", "oracles/jax_host", "oracles/torch_engine"),
    "engine/special": ("numerics", "ops"),
    "engine/torch": ("oracles/torch_engine", "oracles/engines", "oracles/torch_steps"),
    "engine/torch_activations": ("oracles/torch_kernels",),
    "engine/torch_convolution": ("oracles/torch_engine", "oracles/torch_kernels"),
    "engine/torch_losses": ("oracles/torch_steps",),
    "engine/torch_norms": ("oracles/torch_kernels",),
    "engine/torch_program": ("oracles/torch_compile",),
    "engine/torch_recurrence": ("oracles/torch_kernels",),
    "engine/windows": ("ops_windows", "conv"),
    "layers": (
        "recorded",
        "invariants::test_name_is_the_code_that_makes_the_layer",
        "values::test_a_name_leaves_out_the_options_that_are_the_defaults",
        "guard::test_what_keeps_a_matrix_leaves_the_ops_for_small_ones_to_the_next",
    ),
    "layers/activations": ("numerics",),
    "layers/adaptive_pool": ("conv",),
    "layers/attention": ("attention",),
    "layers/binary": ("binary",),
    "layers/conv": ("conv",),
    "layers/dense": ("check_vjp", "combinators"),
    "layers/dropout": ("dropout",),
    "layers/embedding": ("embedding",),
    "layers/gates": ("numerics", "errors", "half::test_gates_are_rounded_once"),
    "layers/hints": ("errors", "mistakes", "conv"),
    "layers/merge": ("combinators",),
    "layers/norm": ("norm", "numerics"),
    "layers/pool": ("conv",),
    "layers/recurrence": ("ops_recurrent", "recurrent"),
    "layers/recurrent": ("recurrent",),
    "layers/resize": ("conv",),
    "layers/shape": ("combinators",),
    "layers/transformer": ("transformer",),
    "layers/windows": ("conv",),
    "losses": ("recorded", "errors", "values::test_a_name_leaves_out_the_options_that_are_the_defaults"),
    "losses/outputs": ("outputs",),
    "losses/rules": ("chunks", "losses", "outputs"),
    "losses/single": ("numerics", "losses", "oracles/jax_nonfinite::test_what_a_loss_refuses_on_numpy_gives_nan"),
    "losses/sums": ("sums",),
    "losses/weighting": ("weighted",),
    "optimizers": ("optimizers", "values::test_a_name_leaves_out_the_options_that_are_the_defaults"),
    "optimizers/rates": ("schedules",),
    "optimizers/update": ("mistakes",),
    "random": ("random", "oracles/jax_keys"),
    "spec": ("bad_input", "patterns", "initializers", "errors", "mistakes", "guard", "combinators"),
    "spec/forms": ("recurrent::test_errors_say_what_to_do", "attention"),
    "training": ("training", "values", "errors", "mistakes"),
    "training/chunks": ("chunks", "oracles/threads"),
    "training/compiled": ("oracles/engine_runs",),
    "training/fitting": ("oracles/engine_runs",),
    "training/gradient": ("recipes", "chunks", "guard"),
    "training/loop": ("oracles/engine_runs", "checkpoint"),
    "training/penalties": ("chunks", "oracles/torch_engine::test_penalty"),
    "training/runs": ("oracles/engine_runs",),
    "training/steps": ("oracles/engine_runs",),
    "spec/guard": (
        "oracles/jax_engine::test_a_net_of_arrays_of_two_engines_goes_back_from_either",
        "oracles/jax_engine::test_inputs_of_two_engines_go_back_from_either",
    ),
    "spec/presets": ("pickle", "values"),
    "spec/rules": ("values", "half"),
    "spec/shapes": ("numbers",),
    "tree": ("tree", "layout"),
    "tree/__init__": ("values", "errors", "mistakes", "checkpoint"),
    "values": ("values", "pickle", "errors", "mistakes", "names"),
}

# what the names of functions that only check or explain begin with
NOT_RULES = ("check", "explain", "mend", "axes", "name", "locate", "placed")
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
MOST = 300  # cases a mutant: what nearly all of them run, the quick ones show as well
FATES = ("survived", "import", "check_vjp", "tests", "time")  # by exit code of the process that tries the mutant


class Mutant(NamedTuple):
    """A change: `new` in place of what stands in the field (and at the place, where that is a list) of `parent`."""

    file: Path
    module: ast.Module
    function: tuple[int, int]  # the first and the last line of the innermost function around it
    line: int
    change: str
    parent: ast.AST
    field: str
    place: int | None
    new: ast.AST

    def code(self) -> Any:
        """The mutated module. It changes the tree, so it must be called in a process of its own."""
        if self.place is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.place] = self.new
        return compile(ast.fix_missing_locations(self.module), str(self.file), "exec")


def mutants(file: Path) -> list[Mutant]:
    module = ast.parse(file.read_text(encoding="utf-8"))
    found = []

    def visit(node: ast.AST, function: tuple[int, int] | None) -> None:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            function = node.lineno, node.end_lineno or node.lineno
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "op", "ops"):
                continue
            children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for place, child in children:
                if not isinstance(child, ast.AST) or _is_no_rule(child):
                    continue
                if function:
                    for new in changed(child, inside=node):
                        change = f"{_text(child)}  ->  {_text(new)}"
                        line = getattr(child, "lineno", getattr(node, "lineno", 0))
                        found.append(Mutant(file, module, function, line, change, node, field, place, new))
                visit(child, function)

    visit(module, None)
    return found


def changed(node: ast.AST, inside: ast.AST) -> Iterator[ast.AST]:
    """The changes to one node of the tree."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPS and not _is_text(left) | _is_text(right):
            yield _with(node, op=SWAPS[type(op)]())
            if isinstance(op, ast.Mult):
                yield left
                yield right
                if not isinstance(inside, ast.Tuple):  # a shape, where NumPy takes any negative number as -1
                    yield ast.UnaryOp(ast.USub(), node)
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            yield _with(node, ops=[SWAPS[type(op)]()])
        case ast.BoolOp(op=op):
            yield _with(node, op=SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):
            yield ast.Constant(0)  # an axis, as a rule
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield operand
        case ast.Attribute(value=value, attr="T"):
            yield value
        case ast.Call(func=ast.Name(id="dot"), args=[a, b, *rest]):
            yield _with(node, args=[b, a, *rest])
            yield ast.UnaryOp(ast.USub(), node)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)) if not isinstance(inside, ast.UnaryOp):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 or 1.0)
        case ast.AugAssign(op=op):
            yield ast.Pass()
            if type(op) in SWAPS:
                yield _with(node, op=SWAPS[type(op)]())
        case ast.If() | ast.IfExp() | ast.While() if "type(" not in ast.unparse(node.test):  # a quicker way for NumPy
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr | ast.Tuple) or (isinstance(node, ast.Constant) and type(node.value) is str)


def _is_no_rule(node: ast.AST) -> bool:
    match node:
        case ast.If(body=[ast.Expr(value=ast.Call(func=ast.Name(id=name)))]) if name.startswith(("check", "match")):
            return True
        case ast.Raise() | ast.JoinedStr() | ast.ExceptHandler() | ast.If(body=[*_, ast.Raise()]):
            return True
        case ast.Expr(value=ast.Constant()) | ast.keyword(arg="strict"):
            return True
        case ast.FunctionDef(decorator_list=[ast.Name(id="overload")]):  # it never runs
            return True
        case ast.FunctionDef(name=name):
            return name.lstrip("_").startswith(NOT_RULES)
        case ast.Call(func=ast.Name(id=name)):
            return name == "called"
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in ("name", "full_name", "given", "shown")
    return False


def _text(node: ast.AST) -> str:
    """The code of a node, cut to a line."""
    if isinstance(node, ast.If | ast.While):
        node = node.test
    line = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return line if len(line) <= 60 else line[:28] + " … " + line[-28:]


class Case(NamedTuple):
    """A case of the catalogue: how long its check takes, and the (file, first line) of each function that it calls."""

    index: int
    seconds: float
    calls: frozenset[tuple[str, int]]


def concerned(mutant: Mutant, cases: list[Case]) -> list[int]:
    """The cases that call the changed function, or anything of its file if none does; the quickest first."""
    place = str(mutant.file), mutant.function[0]
    return [case.index for case in cases if place in case.calls][:MOST] or cases_of(mutant.file, cases)


def cases_of(file: Path, cases: list[Case]) -> list[int]:
    return [case.index for case in cases if any(name == str(file) for name, _ in case.calls)][:MOST]


def tests_of(file: Path) -> list[str]:
    """The tests of a file, as pytest takes them: its own, then those of its folder."""
    module = file.relative_to(ROOT / "purenet").with_suffix("")
    names = [name for place in (module, module.parent) for name in TESTS.get(place.as_posix(), ())]
    found = []
    for name in names:
        test_file, _, function = name.partition("::")
        path = ROOT / "tests" / test_file
        found.append(f"{path.with_name(f'test_{path.name}.py').relative_to(ROOT)}" + f"::{function}" * bool(function))
    return found


# what runs in a process of its own, forked before purenet is imported


def check(index: int) -> None:
    from purenet.testing import check_vjp
    from tests.catalogue import LAYER_CASES, LOSS_CASES

    if index < len(LAYER_CASES):
        case = LAYER_CASES[index][1]
        check_vjp(case.layer, case.params, case.x, case.key, differences=case.differences)
    else:
        loss = LOSS_CASES[index - len(LAYER_CASES)][1]
        check_vjp(loss.loss, loss.y, loss.target)


def measure(pipe: Connection) -> None:
    """The cases, with what they call."""
    from tests.catalogue import LAYER_CASES, LOSS_CASES

    cases = []
    for index in range(len(LAYER_CASES) + len(LOSS_CASES)):
        calls = set()

        def note(frame: Any, event: str, _: Any, calls: set[tuple[str, int]] = calls) -> None:
            if event == "call":
                calls.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

        start = time.perf_counter()
        sys.setprofile(note)
        try:
            check(index)
        finally:
            sys.setprofile(None)
        mine = frozenset((file, line) for file, line in calls if file.startswith(str(ROOT)))
        cases.append(Case(index, time.perf_counter() - start, mine))
    pipe.send(sorted(cases, key=lambda case: case.seconds))


def run(file: Path, mutant: Mutant | None, indices: list[int], limit: int = resource.RLIM_INFINITY) -> None:
    """Try a mutant, or the file as it is; the exit code says its fate. After `limit` seconds of computing, and not of
    waiting for a busy machine, it is ended."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    warnings.simplefilter("error")
    stage = "import"
    try:
        if mutant:
            code, original = mutant.code(), SourceFileLoader.get_code
            SourceFileLoader.get_code = lambda self, name: code if Path(self.path) == file else original(self, name)
        import tests.catalogue  # noqa: F401 (for what it loads)

        module = file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        import_module(module)  # the mutant: pytest reads what it imports first by itself

        stage = "check_vjp"
        for index in indices:
            check(index)
        stage = "tests"
        import pytest

        doctests = ["--doctest-modules", str(file.relative_to(ROOT))]
        failed = pytest.main(["-x", "-p", "no:cacheprovider", *tests_of(file), *doctests]) != 0
    except BaseException:
        failed = True
    os._exit(FATES.index(stage) if failed else 0)


def try_all(chosen: list[Mutant], cases: list[Case], limit: int, jobs: int) -> list[str]:
    """The fate of each mutant."""
    fork = get_context("fork")
    fates: dict[int, str] = {}
    waiting = list(enumerate(chosen))[::-1]
    running: dict[int, tuple[Any, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            i, mutant = waiting.pop()
            process = fork.Process(target=run, args=(mutant.file, mutant, concerned(mutant, cases), limit))
            process.start()
            running[i] = process, time.monotonic() + 20 * limit  # it may wait for what never comes
        wait([process.sentinel for process, _ in running.values()], timeout=1)
        for i, (process, end) in list(running.items()):
            if process.is_alive() and time.monotonic() < end:
                continue
            if process.is_alive():
                process.kill()
                fates[i] = "time"
            process.join()
            code = process.exitcode if process.exitcode is not None else 0
            crash = "time" if code in (-signal.SIGXCPU, -signal.SIGKILL) else "tests"
            fates.setdefault(i, FATES[code] if 0 <= code < len(FATES) else crash)
            del running[i]
    return [fates[i] for i in range(len(chosen))]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks mutations", description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="parts of the names of rule files; all if none is given")
    parser.add_argument("--sample", type=int, default=10, help="mutants of each file, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)

    os.chdir(ROOT)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    import numpy  # noqa: F401 - once, for all the processes that are forked
    import pytest  # noqa: F401 - likewise

    assert "purenet" not in sys.modules, "each process must import its own purenet"
    fork = get_context("fork")
    mine, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=measure, args=(theirs,))
    process.start()
    theirs.close()
    cases = mine.recv()
    process.join()

    files = sorted(path for pattern in RULES for path in ROOT.glob(pattern))
    files = [path for path in files if not options.files or any(part in str(path) for part in options.files)]
    total: Counter[str] = Counter()
    print(f"{'':<44}" + "".join(f"{title:>10}" for title in ("mutants", "killed", *FATES[1:], FATES[0])))
    for file in files:
        found = mutants(file)
        if not found:
            continue
        draw = Random(f"{options.seed} {file.relative_to(ROOT)}")
        chosen = draw.sample(found, min(options.sample, len(found))) if options.sample else found
        chosen.sort(key=lambda mutant: mutant.line)

        start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        unchanged = fork.Process(target=run, args=(file, None, cases_of(file, cases)))
        unchanged.start()
        unchanged.join()
        if unchanged.exitcode:
            sys.exit(f"{file.relative_to(ROOT)}: {FATES[unchanged.exitcode]} fails without any change")
        limit = 10 + int(3 * (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start))

        fates = try_all(chosen, cases, limit, options.jobs)
        _row(f"{file.relative_to(ROOT)} (of {len(found)})", Counter(fates))
        total.update(fates)
        lines = file.read_text(encoding="utf-8").splitlines()
        for mutant, fate in zip(chosen, fates, strict=True):
            if fate == "survived":
                line = lines[mutant.line - 1].strip()
                print(f"    line {mutant.line}: {mutant.change}" + f"    in `{line}`" * (line not in mutant.change))
    _row("all", total)


def _row(name: str, fates: Counter[str]) -> None:
    count = sum(fates.values())
    numbers = [count, count - fates["survived"], *(fates[fate] for fate in (*FATES[1:], FATES[0]))]
    print(f"{name:<44}" + "".join(f"{number:>10}" for number in numbers), flush=True)
