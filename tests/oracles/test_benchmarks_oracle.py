"""Every row of the benchmark with every contender: it runs, and the losses agree. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.contest import agree
from benchmarks.peers import PEERS
from benchmarks.rows import EVERY

ROOT = Path(__file__).parents[2]


def test_every_row_runs_with_every_contender(tmp_path):
    files = ["--json", tmp_path / "rows.json", "--picture", tmp_path / "rows.png"]
    command = [sys.executable, "-m", "benchmarks", "--quick", "--threads", "1", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert [*dict.fromkeys(row["group"] for row in rows)] == [*EVERY]
    assert not any(row["missing"] for row in rows)
    assert {name for row in rows for name in row["contenders"]} >= {*PEERS}
    trained = [row for row in rows if "losses" in row]
    assert len(trained) == 18
    for row in trained:
        assert {*row["losses"]} == {*row["contenders"]} - {"bare products"}
        agree(row["losses"], 1e-3)
    assert (tmp_path / "rows.png").stat().st_size > 10_000


def test_growth_is_measured(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "scale", "--quick", "--json", tmp_path / "scale.json"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    series = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))["series"]
    assert [each["series"].split()[0] for each in series] == ["rows", "batch", "width", "depth"]
