"""What is shown of the measured rows: a table, the goals, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.goals import Judged, judge, over, quickest

Row = Mapping[str, Any]
SCALES = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")), "MB": ((1.0, "MB"),)}
HOW_TO = "pip install 'purenet[bench]'"


def heading(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    where = f"{machine['cpu']}, {machine['cores']} cores"
    return f"{where}\n{versions}\nratio: theirs over purenet's; above 1, purenet needs less"


def quantity(value: float, unit: str) -> str:
    """A number with three digits and its unit.

    >>> quantity(0.0123, "s"), quantity(950, "MB")
    ('12.3 ms', '950 MB')
    """
    scales = SCALES[unit]
    scale, name = next((each for each in scales if value >= each[0]), scales[-1])
    value /= scale
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {name}"


def times(ratio: float) -> str:
    """A ratio, with two digits where it is small.

    >>> times(1.234), times(0.0123)
    ('1.23', '0.012')
    """
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def table(row: Row) -> str:
    """A row: a line for each contender, and for each that is missing."""
    unit, _, per = row["unit"].partition(" ")
    lines = [f"\n{row['row']}   ({threads_of(row['threads'])})"]
    lines.append(f"  {'':<36}{per or unit:>10}  {'quartiles':<22}{'ratio':>8}  quartiles")
    for name, figures in row["contenders"].items():
        value, ratio = figures["value"], figures["ratio"]
        between = f"{quantity(value['low'], unit)} to {quantity(value['high'], unit)}"
        line = f"  {name:<36}{quantity(value['median'], unit):>10}  {between:<22}{times(ratio['median']):>8}"
        if name != row["ours"]:
            line += f"  {times(ratio['low'])} to {times(ratio['high'])}"
        lines.append(line.rstrip())
    for name, lacks in row["missing"].items():
        lines.append(f"  {name:<36}   missing: {' and '.join(lacks)} not installed ({HOW_TO})")
    return "\n".join(lines)


def threads_of(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def summary(rows: Sequence[Row]) -> str:
    """The goals: a line for each, with how many rows meet it, what bounds it, and the rows that miss it."""
    found: dict[Any, list[Judged]] = {}
    for each in judge(list(rows)):
        found.setdefault(each.goal, []).append(each)
    if not found:
        return "\nno goal is set for these rows"
    lines = [f"\ngoals: a peer's time over that of purenet, or of its best engine; {OUT_OF_REACH}"]
    for goal, judged in found.items():
        met = sum(each.met for each in judged)
        lines.append(
            f"  {goal.work}: {goal.ours} ≥ {goal.ratio:.3g} of {goal.peer}: {met} of {len(judged)} ({goal.limit})"
        )
        lines += [
            f"    {each.mark} {times(each.ratio)}  {each.row} ({threads_of(each.threads)}), by {each.by}"
            for each in judged
            if not each.met
        ]
    every = [each for judged in found.values() for each in judged]
    return "\n".join([*lines, f"{sum(each.met for each in every)} of {len(every)} met"])


OUT_OF_REACH = "⊘ would miss even if the bare products were all that takes time"
NOT_A_PEER = "bare products"  # they train nothing


def best(row: Row) -> tuple[str, str, float] | None:
    """The quickest way of purenet in a row, the quickest of the peers, and the peer's time over purenet's; None where
    purenet runs in one way only."""
    found = row["contenders"]
    ours = [name for name in found if name.startswith("purenet")]
    one, other = quickest(found, ours), quickest(found, [name for name in found if name not in (*ours, NOT_A_PEER)])
    return None if len(ours) < 2 or one is None or other is None else (one, other, over(found, one, other))


def best_of_all(rows: Sequence[Row]) -> str:
    """A line for each row that purenet runs on several engines: the best of them beside the best peer."""
    lines = []
    for row in rows:
        if found := best(row):
            one, other, ratio = found
            lines.append(f"  {row['row']} ({threads_of(row['threads'])}): {one}, {times(ratio)} of {other}")
    return "\nthe best engine, and the best peer's time over its\n" + "\n".join(lines) if lines else ""


COLUMNS = {  # of the table in Markdown, and how they are headed there
    "purenet on PyTorch": "on tensors",
    "purenet on PyTorch, compiled": "on tensors, compiled",
    "purenet under JAX, a call a step": "under JAX",
    "purenet under JAX, an epoch in scan": "under JAX, scan",
    "PyTorch": "PyTorch",
    "PyTorch, compiled": "PyTorch, compiled",
    "JAX, a call a step": "JAX",
    "JAX, an epoch in scan": "JAX, scan",
    "scikit-learn": "scikit-learn",
    "autograd": "autograd",
    "class style": "class style",
    "by hand": "by hand",
    "bare products": "bare products",
    "onnxruntime": "onnxruntime",
}


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown: purenet's time on NumPy, every other's over it, and the best engine beside the
    best peer."""
    names = [name for name in COLUMNS if any(name in row["contenders"] for row in rows)]
    engines = any(map(best, rows))
    first = "on NumPy" if all(row["ours"] == "purenet" for row in rows) else "under JAX"
    heads = ["work", first, *(COLUMNS[name] for name in names), *(["best engine over best peer"] * engines)]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        found, unit = row["contenders"], row["unit"].partition(" ")[0]
        ratios = [times(found[name]["ratio"]["median"]) if name in found else "" for name in names]
        line = [row["row"], quantity(found[row["ours"]]["value"]["median"], unit), *ratios]
        if engines:
            one, other, ratio = best(row) or ("", "", 0.0)
            line.append(f"{COLUMNS.get(one, 'on NumPy')}: {times(ratio)} of {COLUMNS[other]}" if one else "")
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_threads(where: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The tables of all rows, a group of rows and a number of threads in each."""
    parts = [heading(where)]
    for count in dict.fromkeys(row["threads"] for row in rows):
        for kind in ("s a step", "s a call", "MB", "layers", "native"):
            if here := [row for row in rows if row["threads"] == count and kind_of(row) == kind]:
                parts.append(f"{threads_of(count)}\n\n{markdown(here)}")
    return "\n\n".join(parts) + "\n"


def kind_of(row: Row) -> str:
    """What stands in one table: the layers, purenet under JAX, and else what has one unit."""
    return row["group"] if row["group"] in ("layers", "native") else row["unit"]


def absent(rows: Sequence[Row]) -> str:
    """A line for each contender that is missing somewhere."""
    lacking = {name: lacks for row in rows for name, lacks in row["missing"].items()}
    lines = [
        f"{name} did not take part: {' and '.join(lacks)} not installed ({HOW_TO})\n" for name, lacks in lacking.items()
    ]
    return "".join(lines)


def need_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise SystemExit("--picture needs matplotlib: pip install 'purenet[plot]'")


COLOURS = {  # one colour a library, whatever of it is measured; after Okabe and Ito
    "PyTorch": "#D55E00", "import torch": "#D55E00", "JAX, a call a step": "#0072B2", "import jax": "#0072B2",
    "JAX, an epoch in scan": "#56B4E9", "scikit-learn": "#009E73", "import sklearn": "#009E73",
    "autograd": "#CC79A7", "import autograd": "#CC79A7", "onnxruntime": "#F0E442", "class style": "#7F3C8D",
    "by hand": "black", "bare products": "grey", "import numpy": "black",
}  # fmt: skip


def picture(rows: Sequence[Row], machine: Mapping[str, Any], file: Path) -> None:
    """The ratio of each contender in each row, on a logarithmic axis, with its quartiles; the line at 1 is purenet."""
    need_matplotlib()
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in rows for name in row["contenders"] if name != row["ours"]))
    threads = sorted({row["threads"] for row in rows}, reverse=True)
    titles = list(dict.fromkeys(row["row"] for row in rows))
    figure = Figure(figsize=(6 + 5 * len(threads), 2 + 0.3 * len(titles)), layout="constrained")
    axes = figure.subplots(1, len(threads), sharex=True, sharey=True, squeeze=False)[0]
    for ax, n in zip(axes, threads, strict=True):
        ax.axvline(1, color="grey", linewidth=1)
        for i, name in enumerate(names):
            here = [row for row in rows if row["threads"] == n and name in row["contenders"]]
            found = [row["contenders"][name]["ratio"] for row in here]
            y, medians = [titles.index(row["row"]) for row in here], [ratio["median"] for ratio in found]
            out = [[r["median"] - r["low"] for r in found], [r["high"] - r["median"] for r in found]]
            look = {"color": COLOURS.get(name, "C0"), "marker": "osD^v"[i % 5], "linestyle": "", "markersize": 5}
            ax.errorbar(medians, y, xerr=out, label=name, linewidth=1, **look)
        for goal in judge(list(rows)):
            if goal.threads == n:
                place, colour = titles.index(goal.row), COLOURS.get(goal.goal.peer, "C0")
                ax.plot([goal.goal.ratio], [place], "|", color=colour, markersize=14)
        ax.set(xscale="log", title=f"{n} thread{'s' * (n > 1)}")
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
    axes[0].set_yticks(range(len(titles)), titles)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.supxlabel("time, or memory, over purenet's: right of 1 purenet needs less; the upright bars are goals")
    figure.suptitle(machine["cpu"], fontsize="medium")
    figure.savefig(file, dpi=120)
