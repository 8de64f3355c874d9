"""Arrays of a .npz file: sizes are compared with the bytes that are there before any is read."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from sweep_engine.data_files.columns import check_size
from sweep_engine.errors import FieldError

_HEADER_MAX = 10_000
_INFLATED_AT_MOST = 1032
"""DEFLATE makes no more than so many bytes of one."""


def read_npz(path: Path, x: tuple[str, ...], y: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the inputs and the targets.

    Raises:
        FieldError: an array is missing, or is not what its header says.
    """
    if len(x) > 1:
        raise FieldError(("x",), "name one array of a .npz file, whose columns are the inputs")
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        arrays = []
        for field, name in (("x", x[0]), ("y", y)):
            member = _member(members, field, name, path.name)
            _check_member(member, field, name, size)
            arrays.append(_array(archive, member, field, name))
    return arrays[0], arrays[1]


def _member(members: list[zipfile.ZipInfo], field: str, name: str, file: str) -> zipfile.ZipInfo:
    found = [member for member in members if member.filename in {name, f"{name}.npy"}]
    if not found:
        there = sorted(member.filename.removesuffix(".npy") for member in members)
        more = ", ..." if len(there) > 20 else ""
        listed = ", ".join(map(repr, there[:20])) + more
        raise FieldError((field,), f"{file} has no array {name!r}, only {listed or 'none'}")
    if len(found) > 1:
        raise FieldError((field,), f"{file} has {len(found)} arrays of the name {name!r}")
    return found[0]


def _check_member(member: zipfile.ZipInfo, field: str, name: str, file_size: int) -> None:
    if member.flag_bits & 0x1:
        raise FieldError((field,), f"{name!r} is encrypted: save it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FieldError(
            (field,),
            f"{name!r} is compressed by method {member.compress_type}: use numpy.savez or "
            "numpy.savez_compressed",
        )
    growth = 1 if member.compress_type == zipfile.ZIP_STORED else _INFLATED_AT_MOST
    if member.file_size > growth * min(member.compress_size, file_size):
        message = f"{name!r} says that it has {member.file_size:,} bytes, more than are there"
        raise FieldError((field,), message)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, field: str, name: str) -> np.ndarray:
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(file, max_header_size=_HEADER_MAX)
        if dtype.hasobject:
            raise FieldError((field,), f"{name!r} holds pickled objects: save numbers")
        check_size(field, name, shape)
        wanted = dtype.itemsize
        for length in shape:
            wanted *= int(length)
        there = member.file_size - file.tell()
        if wanted != there or min(shape, default=0) < 0:
            raise FieldError(
                (field,),
                f"{name!r} says that it has shape {shape}, {wanted:,} bytes, and has {there:,}",
            )
        values = np.frombuffer(file.read(), dtype)
        return values.reshape(shape[::-1]).T if fortran_order else values.reshape(shape)
