"""What the examples of the gallery share: their command line, and a line for each epoch."""

import argparse
from typing import Any


def parser(doc: str | None, picture: str) -> argparse.ArgumentParser:
    """The options `--seed`, `--quick` and `--plot`, under the docstring of a script."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random key")
    parser.add_argument("--quick", action="store_true", help="the same in small: done in seconds")
    parser.add_argument("--plot", default=picture, help="where to draw (needs: pip install 'purenet[plot]')")
    return parser


def report(state: Any, record: dict[str, Any]) -> None:
    """A callback of `fit` that prints the numbers of an epoch."""
    numbers = "   ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in record.items())
    print(f"epoch {state.epoch:3}   {numbers}", flush=True)
