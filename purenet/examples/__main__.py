"""The list of the examples, with one line each: python -m purenet.examples"""

import ast
from pathlib import Path


def main() -> None:
    for path in sorted(Path(__file__).parent.glob("*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if f"python -m purenet.examples.{path.stem}" in doc:  # the others are no scripts
            print(f"{path.stem:16} {doc.splitlines()[0]}")


if __name__ == "__main__":
    main()
