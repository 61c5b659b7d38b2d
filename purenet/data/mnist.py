"""The handwritten digits of MNIST: found on this machine, or downloaded once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from purenet.data.digits import Split
from purenet.data.progress import Progress
from purenet.engine.jax import host_only
from purenet.values import hinted

if TYPE_CHECKING:
    from pathlib import Path  # which takes long to import

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
TIMEOUT = 30.0  # seconds without a byte
FILES = {  # the length and the SHA-256 of the uncompressed bytes, which are the same whoever compressed them
    "train-images-idx3-ubyte": (47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}


@hinted
def mnist(mirrors: Sequence[str] = MIRRORS) -> tuple[Split, Split]:
    """70,000 handwritten digits of 28×28 pixels, as (train, test).

    x is (60000, 784) and (10000, 784) float32 from 0 to 1, each image row by row (`x.reshape(-1, 28, 28, 1)` is the
    images); target is int64, from 0 to 9.

    The four files are looked for in the folder that the environment variable PURENET_DATA names (or in its `mnist`),
    then in the user's cache folder (`~/.cache/purenet/mnist`); what is in neither is downloaded to the cache. Nothing
    is used whose checksum is wrong. A download that was cut off is resumed by the next call.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits". Licence: CC BY-SA 3.0.

    Raises:
        ValueError: a file that was found is truncated, damaged or another one.
        OSError: a file could not be downloaded; says what each mirror gave.
    """
    host_only("mnist")
    contents = [_content(name, mirrors) for name in FILES]
    x, target, x_test, target_test = (
        np.frombuffer(content, np.uint8, offset=16 if "images" in name else 8)
        for name, content in zip(FILES, contents, strict=True)
    )
    return Split(_scaled(x), target.astype(np.int64)), Split(_scaled(x_test), target_test.astype(np.int64))


def _scaled(pixels: Any) -> Any:
    x = pixels.reshape(-1, 784).astype(np.float32)
    x /= 255
    return x


def _content(name: str, mirrors: Sequence[str]) -> bytes:
    """The uncompressed bytes of a file, from this machine or from a mirror."""
    from pathlib import Path

    cache = _cache() / "mnist"
    given = os.environ.get("PURENET_DATA")
    for folder in (*([Path(given) / "mnist", Path(given)] if given else []), cache):
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                try:
                    return _read(path, name)
                except ValueError as error:
                    raise ValueError(f"{path} {error}. Remove it, and call mnist() again") from error
    return _download(name, cache, mirrors)


def _cache() -> Path:
    """The folder for what can be had again."""
    from pathlib import Path

    home = Path.home()
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "purenet"


def _read(path: Path, name: str) -> bytes:
    """The uncompressed bytes of a file, if they are the right ones; never much more than they should be."""
    import gzip
    import hashlib
    import zlib

    length, expected = FILES[name]
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else open(path, "rb") as file:
            content = file.read(length + 1)  # to the end of the stream, and so its own checksum
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"is truncated or damaged ({error})") from error
    if len(content) != length:
        more = "more" if len(content) > length else "less"
        raise ValueError(f"is not MNIST's {name}: it has {more} than {length} bytes")
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"is not MNIST's {name}: its SHA-256 is {found}, not {expected}")
    return content


def _download(name: str, folder: Path, mirrors: Sequence[str]) -> bytes:
    """Download a file to the folder, where it appears whole and checked or not at all; a part stays for later."""
    import http.client
    import urllib.error

    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{name}.gz", folder / f"{name}.gz.part"
    problems = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}.gz"
        for _ in range(3):
            resumed = part.is_file() and part.stat().st_size > 0
            try:
                _fetch(url, part, name)
                content = _read(part, name)
            except (OSError, http.client.HTTPException) as error:
                problems.append(f"{url}: {error}")
                if isinstance(error, urllib.error.HTTPError) and error.code != 416:
                    break  # this mirror does not have it
                if isinstance(error, urllib.error.HTTPError):
                    part.unlink(missing_ok=True)  # there is no such rest
                continue
            except ValueError as error:
                problems.append(f"{url}: what came {error}")
                part.unlink()
                if resumed:
                    continue  # the rest did not belong to the first part
                break
            os.replace(part, path)
            return content
    tried = "\n  ".join(dict.fromkeys(problems))
    raise OSError(f"{name}.gz could not be downloaded:\n  {tried}\nTry again, or put the file into {folder} yourself")


def _fetch(url: str, part: Path, name: str) -> None:
    """What is still missing of a file."""
    import urllib.request

    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "purenet"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        begin = done if response.status == 206 else 0
        if begin and not response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            raise ValueError("is another part than the one asked for")
        rest = response.headers.get("Content-Length", "")
        total = begin + int(rest) if rest.isdecimal() else None
        most = FILES[name][0] + 2**20  # compression never adds so much
        with open(part, "ab" if begin else "wb") as file, Progress(total, "B", done=begin) as progress:
            while chunk := response.read(2**16):
                file.write(chunk)
                progress.advance(len(chunk), name)
                if progress.done > most:
                    raise ValueError(f"is not MNIST's {name}: it is longer than {most} bytes")
            file.flush()
            os.fsync(file.fileno())
    if total is not None and progress.done < total:
        raise ConnectionError(f"the connection ended after {progress.done} of {total} bytes")
