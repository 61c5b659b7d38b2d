"""How fast training, prediction and start-up are, beside what one would use instead; without a name, all rows.

All contenders of a row run in one process, in turns, after their losses were seen to agree; the figures are medians of
the rounds with their quartiles. A ratio is the contender's time (or memory) over purenet's in the same round: above 1,
purenet needs less.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.child import FailedError, machine, run
from benchmarks.contest import Pace
from benchmarks.rows import EVERY, GROUPS, Options

THREADS = {"1": (1,), "2": (2,), "both": (2, 1)}


def main(arguments: list[str]) -> None:
    listed = "\n".join(f"  {name:<12} {what}" for name, what in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\ngroups of rows:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="*", metavar="NAME", help="groups of rows; all if none is given")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender (default 9)")
    parser.add_argument("--threads", choices=[*THREADS], default="both", help="default: both, two first")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables there, as benchmarks/README.md has them"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the ratios (needs the extra `plot`)")
    parser.add_argument("--quick", action="store_true", help="small batches, one short round: only to see that all run")
    options = parser.parse_args(arguments)
    for name in options.groups:
        if name not in GROUPS:
            parser.error(f"there are no rows {name!r}, but {', '.join(GROUPS)}")
    if options.rounds < 1:
        parser.error("--rounds takes 1 or more")
    if options.picture:
        report.need_matplotlib()

    where = machine()
    print(report.heading(where))
    rows, failed = [], ""
    pace = Pace(1, 0.0, 0.0) if options.quick else Pace(options.rounds)
    try:
        for threads in THREADS[options.threads]:
            for row in run(options.groups or EVERY, Options(threads, pace, options.quick)):
                rows.append(row)
                print(report.table(row), flush=True)
    except FailedError as error:
        failed = str(error)
    print("\nThis was a quick run: its times say nothing." if options.quick else report.summary(rows))
    print(report.best_of_all(rows))
    print(report.absent(rows), end="")
    if options.markdown:
        options.markdown.write_text(report.by_threads(where, rows), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps({"machine": where, "rows": rows}, indent=1), encoding="utf-8")
    if options.picture and rows:
        report.picture(rows, where, options.picture)
    if failed:
        sys.exit(failed)
