"""Build the documentation: python -m purenet.pages OUT"""

import argparse
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m purenet.pages", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder for the pages, a new one or an empty one")
    out = parser.parse_args().out
    try:
        from purenet.pages.build import build
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: pip install 'purenet[docs]'")

    start = time.perf_counter()
    try:
        pages, links = build(out)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{pages} pages, {links} links, no broken one, in {time.perf_counter() - start:.0f} s: {out / 'index.html'}")


if __name__ == "__main__":
    main()
