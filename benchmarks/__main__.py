"""`python -m benchmarks` measures speed; `python -m benchmarks NAME [options]` runs one benchmark.

That is a module here with a function `main(arguments)`, or a group of the rows that measure speed.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

from benchmarks.rows import GROUPS

HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """The name of each module that is a benchmark and the first line of its docstring, without importing any."""
    found = {}
    for path in sorted(HERE.glob("[!_]*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            found[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def main(arguments: list[str]) -> int:
    found = benchmarks() | GROUPS
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["speed", *arguments]
    wanted = [name for name in found if arguments and name.startswith(arguments[0])]
    if arguments and arguments[0] in found:
        wanted = [arguments[0]]
    if len(wanted) == 1 and wanted[0] in GROUPS:
        wanted, arguments = ["speed"], [arguments[0], wanted[0], *arguments[1:]]
    if len(wanted) == 1:
        importlib.import_module(f"benchmarks.{wanted[0]}").main(arguments[1:])
        return 0
    if arguments[0] not in ("-h", "--help"):
        print(f"there is no benchmark {arguments[0]!r}", file=sys.stderr)
    print("usage: python -m benchmarks [NAME] [options]; a name may be cut short where it stays clear")
    print("without a name: all rows that measure speed, as `speed` does\n")
    for name, what in found.items():
        print(f"  {name:<14} {what}")
    return 2 if arguments[0] not in ("-h", "--help") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
