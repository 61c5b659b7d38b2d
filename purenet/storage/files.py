"""Arrays by name in a file: `.npz` and `.safetensors`, written whole or not at all, and read with distrust."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

from purenet.engine.arrays import describe, needed

Path = str | os.PathLike[str]
Arrays = dict[str, np.ndarray]
_OUTLINE = "purenet.json"


class DamagedError(ValueError):
    """A file that is not whole, or not what it says it is."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a file is read is a damage of that file."""
    try:
        yield
    except (DamagedError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise DamagedError(f"{os.fspath(path)} is damaged: {error or type(error).__name__}") from error


def file_format(path: Path) -> tuple[Callable[[Path], tuple[Arrays, Any]], Callable[[IO[bytes], Arrays, Any], None]]:
    """How to read and how to write a file of this name."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a path stands first, as in save(path, params) and load(path, like), not {describe(path)}")
    suffix = os.path.splitext(os.fspath(path))[1]
    if suffix == ".npz":
        return _read_npz, _write_npz
    if suffix == ".safetensors":
        return _read_safetensors, _write_safetensors
    raise ValueError(f"{os.fspath(path)} should end in .npz or .safetensors")


def is_narrow(dtype: Any) -> bool:
    """Whether numbers are of a kind that JAX has and NumPy by itself does not, such as bfloat16."""
    return getattr(dtype, "type", np.generic).__module__ == "ml_dtypes"


def as_integers(arrays: Arrays) -> tuple[Arrays, dict[str, str]]:
    """Arrays whose narrow numbers are integers of as many bits, and the dtypes that they had."""
    dtypes = {name: array.dtype.name for name, array in arrays.items() if is_narrow(array.dtype)}
    return {**arrays, **{name: arrays[name].view(f"u{arrays[name].itemsize}") for name in dtypes}}, dtypes


def as_they_were(arrays: Arrays, dtypes: dict[str, str]) -> Arrays:
    """The arrays that `as_integers` was given."""
    if not dtypes:
        return arrays
    ml_dtypes = needed("ml_dtypes", f"{min(dtypes.values())} comes with JAX: pip install 'purenet[jax]'")
    narrow = {name: np.dtype(getattr(ml_dtypes, dtype)) for name, dtype in dtypes.items()}
    if not all(map(is_narrow, narrow.values())):
        raise ValueError("its description has a dtype that is none")
    return {**arrays, **{name: arrays[name].view(dtype) for name, dtype in narrow.items()}}


def _write_npz(file: IO[bytes], arrays: Arrays, outline: Any) -> None:
    import json
    import zipfile

    # not compressed, and without the date, so that equal trees give equal files
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_OUTLINE), json.dumps(outline))
        for name, array in arrays.items():
            _check_name(name)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_npz(path: Path) -> tuple[Arrays, Any]:
    import json
    import zipfile

    with open(path, "rb") as file, reading(path):
        length = os.fstat(file.fileno()).st_size
        arrays, outline = {}, None
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > length:
                raise ValueError(f"its directory claims more bytes than the {length} of the file, or it is compressed")
            for member in members:
                _check_name(member.filename)
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise ValueError(f"{member.filename} is compressed, which only np.load reads")
                name, suffix = os.path.splitext(member.filename)
                if member.filename == _OUTLINE:
                    outline = json.loads(archive.read(member))
                elif suffix != ".npy" or name in arrays:
                    raise ValueError(f"{member.filename} has no place in it, or has it twice")
                else:
                    with archive.open(member) as content:
                        arrays[name] = _read_npy(content, name, member.file_size)
        return arrays, outline


def _read_npy(content: IO[bytes], name: str, length: int) -> np.ndarray:
    """The array of one member, whose header is held against its length before there is an array."""
    version = np.lib.format.read_magic(content)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has a header of version {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read_header(content)
    count = 1
    for axis in shape:
        count *= axis
    if dtype.kind not in "biufc" or min(shape, default=0) < 0:
        raise ValueError(f"{name} has dtype {dtype} and shape {shape}, which is no array of numbers")
    if count * dtype.itemsize != length - content.tell():
        raise ValueError(f"{name} claims {count * dtype.itemsize} bytes, but has {length - content.tell()}")
    flat = np.empty(count, dtype)
    room, start = flat.view(np.uint8), 0
    while chunk := content.read(1 << 20):  # the last read holds the content against its checksum
        room[start : start + len(chunk)] = np.frombuffer(chunk, np.uint8)
        start += len(chunk)
    if start < room.size:
        raise ValueError(f"{name} ends too soon")
    array = flat.reshape(shape[::-1]).T if columns_first else flat.reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _write_safetensors(file: IO[bytes], arrays: Arrays, outline: Any) -> None:
    import json

    text = json.dumps(outline)
    for name, array in arrays.items():
        _check_name(name)
        if array.dtype.kind == "c":
            raise TypeError(
                f"{name} is {describe(array)}: a .safetensors file holds no complex numbers, an .npz file does"
            )
    arrays = {name: np.array(array, array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    checksum = str(_checksum(arrays, text))
    file.write(_library("safetensors.numpy").save(arrays, metadata={_OUTLINE: text, "purenet.crc32": checksum}))


def _read_safetensors(path: Path) -> tuple[Arrays, Any]:
    import json

    library = _library("safetensors")
    with open(path, "rb"), reading(path), library.safe_open(os.fspath(path), framework="numpy") as file:
        metadata = file.metadata() or {}
        arrays = {}
        for name in file.keys():  # noqa: SIM118 (it is not a dict)
            _check_name(name)
            arrays[name] = np.array(file.get_tensor(name))
        text, checksum = metadata.get(_OUTLINE), metadata.get("purenet.crc32")
        if text is None and checksum is None:
            return arrays, None
        if text is None or checksum != str(_checksum(arrays, text)):
            raise ValueError("its content does not have the checksum that it was written with")
        return arrays, json.loads(text)


def _checksum(arrays: Arrays, text: str) -> int:
    """CRC-32 of all that a file holds, which the format itself does not check."""
    import zlib

    checksum = zlib.crc32(text.encode())
    for name, array in sorted(arrays.items()):
        checksum = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), checksum)
        checksum = zlib.crc32(array.reshape(-1).view(np.uint8).data, checksum)
    return checksum


def _library(module: str) -> Any:
    return needed(module, "a .safetensors file needs the library: pip install 'purenet[safetensors]'")


def _check_name(name: str) -> None:
    """A name is never a path for us; but other tools unpack such files, and should find nothing harmful."""
    if "\\" in name or not {"..", ""}.isdisjoint(name.split("/")) or any(ord(c) < 32 for c in name) or name[1:2] == ":":
        raise ValueError(f"{name!r} is not a name for an array: it leads to another place")


def replace(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole. It keeps the owner and the rights of the
    old one."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    old = os.stat(path) if os.path.exists(path) else None
    rights = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    # in the same folder, and no longer than a name may be, which that of the file itself may be already
    temporary = os.path.join(folder, f"{name[:40]}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb", opener=lambda path, flags: os.open(path, flags, rights)) as file:
            hold(file)
            if old is not None:
                _give_rights(temporary, old)
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if os.name == "posix":
                os.replace(temporary, path)  # while the mark is there
        if os.name != "posix":
            os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
    if os.name == "posix":  # the folder's entry must reach the disk too
        with suppress(PermissionError):  # of a folder that may be written to, but not read
            entry = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(entry)
            finally:
                os.close(entry)


def _give_rights(path: Path, old: os.stat_result) -> None:
    if hasattr(os, "chown") and (os.stat(path).st_uid, os.stat(path).st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):
            os.chown(path, old.st_uid, old.st_gid)
    os.chmod(path, stat.S_IMODE(old.st_mode))


def hold(file: IO[bytes]) -> bool:
    """Mark a file as being written, until it is closed or the process ends. False if it is marked by another."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ModuleNotFoundError, OSError):  # a system without such marks
        return True
    return True
