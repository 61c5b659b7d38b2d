"""MNIST is found, or downloaded from a real server on this machine, which can fail in every way."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import re
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import purenet as pn

module = importlib.import_module("purenet.data.mnist")

PIXELS = (pn.random.uniform(pn.key(0), (7, 784)) * 256).astype(np.uint8)
LABELS = np.arange(7, dtype=np.uint8)
CONTENT = {
    "train-images-idx3-ubyte": bytes(16) + PIXELS.tobytes(),
    "train-labels-idx1-ubyte": bytes(8) + LABELS.tobytes(),
    "t10k-images-idx3-ubyte": bytes(16) + PIXELS[:3].tobytes(),
    "t10k-labels-idx1-ubyte": bytes(8) + LABELS[:3].tobytes(),
}
ZIPPED = {name: gzip.compress(content, mtime=0) for name, content in CONTENT.items()}
BOMB = gzip.compress(bytes(50_000_000))
FIRST = "train-images-idx3-ubyte"
NAMES = sorted(f"{name}.gz" for name in CONTENT)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A small MNIST, and a cache folder of its own."""
    table = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items()}
    monkeypatch.setattr(module, "FILES", table)
    monkeypatch.setattr(module, "TIMEOUT", 1.0)
    monkeypatch.setattr(module, "_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("PURENET_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "mnist"


class Server:
    """Serves the files; `faults[name]` are what happens to the first requests for one, in turn."""

    def __init__(self):
        self.faults, self.asked = {}, []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.removeprefix("/").removesuffix(".gz")
                served.asked.append((name, self.headers.get("Range")))
                waiting = served.faults.get(name, [])
                fault = waiting.pop(0) if waiting else serve
                fault(self, ZIPPED[name])

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def serve(request, content, end=None, status=200, length=None, **headers):
    """An honest server, which knows ranges."""
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
    if asked and status == 200:
        begin = int(asked.group(1))
        headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        status, content = 206, content[begin:]
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    if length != "unknown":
        request.send_header("Content-Length", str(len(content) if length is None else length))
    request.end_headers()
    request.wfile.write(content[:end])


def cut_off(request, content):
    serve(request, content, end=1000)


def ignores_ranges(request, content):
    serve(request, content, status=201)


def of_nothing_known(request, content):
    serve(request, content[:1000], length="unknown")


def another_file(request, content):
    serve(request, gzip.compress(bytes(len(CONTENT[FIRST]))))


def a_page(request, content):
    serve(request, b"<html>Please log in</html>")


def truncated(request, content):
    serve(request, content[:-100])


def damaged(request, content):
    serve(request, content[:500] + bytes(10) + content[510:])


def a_bomb(request, content):
    serve(request, BOMB)


def without_end(request, content):
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(bytes(2**16))
    except OSError:
        pass


def missing(request, content):
    request.send_error(404)


def broken(request, content):
    request.send_error(500)


def no_such_rest(request, content):
    request.send_error(416)


def silent(request, content):
    threading.Event().wait(3)


def hangs_up(request, content):
    request.connection.close()


def nonsense(request, content):
    request.wfile.write(b"nonsense\r\n\r\n")


def another_range(request, content):
    serve(request, content[5:], status=206, Content_Range=f"bytes 5-{len(content) - 1}/{len(content)}")


def check(found):
    (x, target), (x_test, target_test) = found
    assert np.array_equal(x, PIXELS.astype(np.float32) / 255)
    assert (x.dtype, target.dtype, x_test.shape) == (np.float32, np.int64, (3, 784))
    assert target.tolist() == LABELS.tolist()
    assert target_test.tolist() == [0, 1, 2]


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_downloaded_once(server, cache, capsys):
    check(pn.data.mnist([server.url]))
    assert files(cache) == NAMES
    assert len(server.asked) == 4
    check(pn.data.mnist([server.url]))
    assert len(server.asked) == 4
    assert capsys.readouterr() == ("", "")  # nothing is shown where nobody looks


@pytest.mark.parametrize("where", [".", "mnist"])
@pytest.mark.parametrize("compressed", [True, False])
def test_found_in_the_given_folder(where, compressed, cache, tmp_path, monkeypatch):
    folder = tmp_path / "given" / where
    folder.mkdir(parents=True)
    for name, content in (ZIPPED if compressed else CONTENT).items():
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(content)
    monkeypatch.setenv("PURENET_DATA", str(tmp_path / "given"))
    check(pn.data.mnist([]))
    assert files(cache) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "less than 5504 bytes"),
        (ZIPPED[FIRST][:-1], "truncated or damaged"),
        (ZIPPED[FIRST][:300], "truncated or damaged"),
        (ZIPPED[FIRST][:300] + b"\0" + ZIPPED[FIRST][301:], r"damaged|its SHA-256"),
        (gzip.compress(bytes(5504)), "its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}"),
        (gzip.compress(bytes(10**8)), "more than 5504 bytes"),
        (b"<html>", "less than 5504 bytes"),
    ],
    ids=["empty", "one byte short", "a piece", "a byte changed", "another file", "a bomb", "a page"],
)
def test_a_wrong_file_is_named_and_left_alone(content, message, cache, tmp_path, monkeypatch):
    (tmp_path / f"{FIRST}.gz").write_bytes(content)
    monkeypatch.setenv("PURENET_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=rf"{FIRST}\.gz is .*({message}).*Remove it"):
        pn.data.mnist([])
    assert (tmp_path / f"{FIRST}.gz").read_bytes() == content
    assert files(cache) == []


def test_a_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(BOMB)
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than 5504 bytes"):
        module._read(tmp_path / "bomb.gz", FIRST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("fault", [cut_off, silent, hangs_up, nonsense, of_nothing_known], ids=lambda f: f.__name__)
def test_faults_that_pass(fault, server, cache):
    server.faults[FIRST] = [fault]
    if fault is of_nothing_known:  # what came looks complete, and is not: thrown away
        with pytest.raises(OSError, match="truncated or damaged"):
            pn.data.mnist([server.url])
    check(pn.data.mnist([server.url]))
    assert files(cache) == NAMES


def test_resumed_within_a_call_and_in_the_next(server, cache):
    server.faults[FIRST] = [cut_off, cut_off, cut_off]
    with pytest.raises(
        OSError, match=rf"{FIRST}\.gz could not be downloaded:(.|\n)*ended after 3000 of {len(ZIPPED[FIRST])}"
    ):
        pn.data.mnist([server.url])
    assert files(cache) == [f"{FIRST}.gz.part"]
    assert (cache / f"{FIRST}.gz.part").read_bytes() == ZIPPED[FIRST][:3000]
    check(pn.data.mnist([server.url]))
    assert [asked for name, asked in server.asked if name == FIRST] == [
        None,
        "bytes=1000-",
        "bytes=2000-",
        "bytes=3000-",
    ]
    assert files(cache) == NAMES


@pytest.mark.parametrize("fault", [ignores_ranges, no_such_rest, another_range], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "first",
    [ZIPPED[FIRST][:100], b"of another mirror", ZIPPED[FIRST], ZIPPED[FIRST] + b"more"],
    ids=["a part", "another", "whole", "too long"],
)
def test_a_part_that_cannot_be_resumed(first, fault, server, cache):
    cache.mkdir(parents=True)
    (cache / f"{FIRST}.gz.part").write_bytes(first)
    server.faults[FIRST] = [fault]
    check(pn.data.mnist([server.url]))
    assert files(cache) == NAMES
    requests = [asked for name, asked in server.asked if name == FIRST]
    assert requests == [f"bytes={len(first)}-"] + [None] * (fault is not ignores_ranges)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (another_file, "its SHA-256 is"),
        (a_page, "less than 5504 bytes"),
        (truncated, "truncated or damaged"),
        (damaged, "damaged|SHA-256"),
        (a_bomb, "more than 5504 bytes"),
        (without_end, "longer than"),
        (missing, "404"),
        (broken, "500"),
        (silent, "timed out"),
        (hangs_up, "closed|reset|disconnected"),
        (nonsense, "nonsense"),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_faults_that_stay(fault, message, server, cache):
    server.faults[FIRST] = [fault] * 3
    with pytest.raises(
        OSError, match=rf"{FIRST}\.gz could not be downloaded:(.|\n)*({message})(.|\n)*put the file into"
    ):
        pn.data.mnist([server.url])
    assert files(cache) == []


def test_the_next_mirror(server, cache):
    server.faults[FIRST] = [missing]
    check(pn.data.mnist([server.url, server.url]))
    assert files(cache) == NAMES


def test_no_server(cache):
    with pytest.raises(OSError, match="refused"):
        pn.data.mnist(["http://127.0.0.1:9/"])
    assert files(cache) == []
