"""The pictures of the gallery: python -m purenet.pages.pictures [NAME ...] draws all of them again, or these.

Each is what its script draws, made small. Scripts that train on MNIST run with --quick, on the digits that are here.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from purenet.examples.command import scripts

PICTURES = Path(__file__).parents[1] / "examples" / "pictures"
SIZES = (720, 64), (640, 64), (560, 64), (480, 32), (400, 16)  # width in pixels, colors: the first that is small
MOST = 40_000  # bytes of one picture


def draw(script: Path) -> None:
    """Run a script, and keep its picture."""
    quick = ["--quick"] if "data.mnist(" in script.read_text(encoding="utf-8") else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"purenet.examples.{script.stem}", "--plot", "drawn.png", *quick]
        subprocess.run(command, cwd=folder, check=True)
        keep(Path(folder) / "drawn.png", script.stem)


def keep(drawn: Path, name: str) -> None:
    """Make a picture small, and put it beside the scripts."""
    picture = Image.open(drawn).convert("RGB")
    for width, colors in SIZES:
        picture.thumbnail((width, picture.height), Image.Resampling.LANCZOS)
        small = io.BytesIO()
        picture.quantize(colors, dither=Image.Dither.NONE).save(small, "png", optimize=True)
        if small.tell() <= MOST:
            (PICTURES / f"{name}.png").write_bytes(small.getvalue())
            return
    raise ValueError(f"the picture of {name} has {small.tell()} bytes, {width} pixels wide; it may have {MOST}")


if __name__ == "__main__":
    for script in scripts():
        draws = "options.plot" in script.read_text(encoding="utf-8")
        if draws and (len(sys.argv) == 1 or script.stem in sys.argv[1:]):
            draw(script)
