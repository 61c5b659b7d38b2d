"""The list of the examples, with one line each: python -m purenet.examples"""

import sys

from purenet.examples.command import scripts


def main() -> None:
    if len(sys.argv) > 1:
        sys.exit(f"each script is a command of its own: python -m purenet.examples.{sys.argv[1]}")
    for path, doc in scripts().items():
        print(f"{path.stem:16} {doc.splitlines()[0]}")


if __name__ == "__main__":
    main()
