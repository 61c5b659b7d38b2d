"""What is shown of the measured rows: a table, the goals, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.goals import goal_of, judge

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


def table(row: Row, judged: bool = True) -> str:
    """A row: a line for each contender, and for each that is missing."""
    unit, _, per = row["unit"].partition(" ")
    lines = [f"\n{row['row']}   ({row['threads']} thread{'s' * (row['threads'] > 1)})"]
    lines.append(f"  {'':<24}{per or unit:>10}  {'quartiles':<22}{'ratio':>8}  {'quartiles':<14}  goal")
    for name, figures in row["contenders"].items():
        value, ratio = figures["value"], figures["ratio"]
        goal = goal_of(row["size"], name) if judged else None
        between = f"{quantity(value['low'], unit)} to {quantity(value['high'], unit)}"
        line = f"  {name:<24}{quantity(value['median'], unit):>10}  {between:<22}{times(ratio['median']):>8}"
        if name != row["ours"]:
            line += f"  {times(ratio['low'])} to {times(ratio['high'])}".ljust(18)
        if goal is not None:
            line += f"≥ {goal:<5g} {'✓ met' if ratio['median'] >= goal else '✗ missed'}"
        lines.append(line.rstrip())
    for name, lacks in row["missing"].items():
        lines.append(f"  {name:<24}   missing: {' and '.join(lacks)} not installed ({HOW_TO})")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """The goals: a line for each row and peer that has one, with a ratio for each number of threads."""
    found: dict[tuple[str, str, float], dict[int, Any]] = {}
    for each in judge(list(rows)):
        found.setdefault((each.row, each.peer, each.goal), {})[each.threads] = each
    threads = sorted({row["threads"] for row in rows})
    if not found:
        return "\nno goal is set for these rows"
    width = max(len(row) for row, _, _ in found)
    titles = "".join(f"{f'{n} thread' + 's' * (n > 1):>12}" for n in threads)
    lines = [f"\n  {'goals':<{width}}  {'against':<20}{'goal':>8}{titles}"]
    for (row, peer, goal), judged in found.items():
        marks = [f"{judged[n].ratio:.2f} {judged[n].mark}" if n in judged else "" for n in threads]
        lines.append(f"  {row:<{width}}  {peer:<20}{f'≥ {goal:g}':>8}" + "".join(f"{mark:>12}" for mark in marks))
    every = [each for judged in found.values() for each in judged.values()]
    lines.append(f"{sum(each.met for each in every)} of {len(every)} met")
    if beyond := sum(each.mark == "⊘" for each in every):
        lines.append(f"{beyond} out of reach (⊘): the peer's time over that of the bare products is below the goal")
    return "\n".join(lines)


def best(row: Row) -> tuple[str, str, float] | None:
    """The quickest way of purenet in a row, the quickest of the peers, and the peer's time over purenet's; None where
    purenet runs in one way only. Bare products train nothing, and are no peer."""
    values = {
        name: figures["value"]["median"] for name, figures in row["contenders"].items() if name != "bare products"
    }
    ours = {name: value for name, value in values.items() if name.startswith("purenet")}
    peers = {name: value for name, value in values.items() if name not in ours}
    if len(ours) < 2 or not peers:
        return None
    one, other = min(ours, key=ours.__getitem__), min(peers, key=peers.__getitem__)
    return one, other, peers[other] / ours[one]


def best_of_all(rows: Sequence[Row]) -> str:
    """A line for each row that purenet runs on several engines: the best of them beside the best peer."""
    lines = []
    for row in rows:
        if found := best(row):
            one, other, ratio = found
            title = f"{row['row']} ({row['threads']} thread{'s' * (row['threads'] > 1)})"
            lines.append(f"  {title}: {one}, {times(ratio)} of {other}")
    return "\n  the best engine, and the best peer's time over its\n" + "\n".join(lines) if lines else ""


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
                ax.plot([goal.goal], [titles.index(goal.row)], "|", color=COLOURS.get(goal.peer, "C0"), markersize=14)
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
