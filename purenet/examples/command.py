"""What the examples share: their list, their command line, a line for each epoch, a picture in a file, and a game."""

import argparse
import ast
from pathlib import Path
from typing import Any


def scripts() -> dict[Path, str]:
    """The scripts of the gallery, in the order of the alphabet, and their docstrings."""
    docs = {
        p: ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))
        for p in sorted(Path(__file__).parent.glob("*.py"))
    }
    return {p: doc for p, doc in docs.items() if doc and f"python -m purenet.examples.{p.stem}" in doc}


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


def keep(figure: Any, path: str) -> None:
    """Write a picture into a file, and say where."""
    figure.savefig(path)
    print(f"drew {path}")


def cart_pole() -> Any:
    """The game of gymnasium in which a pole is kept upright."""
    try:
        import gymnasium
    except ModuleNotFoundError:
        raise ModuleNotFoundError("this example needs gymnasium: pip install 'purenet[rl]'") from None
    return gymnasium.make("CartPole-v1")
