"""The command line that the examples of the gallery share."""

import argparse


def parser(doc: str | None, picture: str) -> argparse.ArgumentParser:
    """The options `--seed`, `--quick` and `--plot`, under the docstring of a script."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random key")
    parser.add_argument("--quick", action="store_true", help="the same in small: done in seconds")
    parser.add_argument("--plot", default=picture, help="where to draw (needs: pip install 'purenet[plot]')")
    return parser
