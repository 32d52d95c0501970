"""Reads arrays of numbers, strings, and cells of both from a .mat file of MATLAB 5 to 7.

SciPy, which reads all of the format, ends the whole process on some damaged files. Here every length is compared with the bytes
that are there, so the worst that a file can do is an error. Source: "MAT-File Format" of The MathWorks, chapter 1.
"""

import math
import struct
import zlib

import numpy as np

HEADER_BYTES = 128
START_BYTES = 1024  # of a variable, which hold its kind, dimensions and name
MOST_DIMENSIONS = 32  # NumPy 1's limit
NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
LETTER_CODES = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15  # types of elements
CELL, LETTERS, NUMBERS = 1, 4, range(6, 16)  # classes of matrices
COMPLEX = 0x0800
EMPTY = np.zeros((0, 0))


def read(file, names):
    """The named variables that a file has; all others are skipped unread.

    Args:
      file: its path.
      names: of the variables.

    Returns:
      Dict from name to an array of numbers, a string (1 x n letters), an array of objects (a cell array of such values), or
      None (anything else).

    Raises:
      OSError: the file cannot be opened.
      ValueError: it is no such file, or is damaged.
    """
    with open(file, "rb") as stream:
        header = stream.read(HEADER_BYTES)
        order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(header[124:])
        if order is None:
            raise ValueError("it does not begin as a file of MATLAB 5 to 7 does (save newer ones with -v7)")
        found, position, end = {}, HEADER_BYTES, stream.seek(0, 2)
        while position < end:
            stream.seek(position)
            kind, length = _numbers(stream.read(8), "2I", order)
            position += 8 + length
            if position > end:
                raise ValueError(f"it is cut short: {position - end} bytes are missing")
            start = stream.read(min(length, START_BYTES))
            name = _name(start, kind, order)
            if name in names:
                found[name] = _variable(start + stream.read(length - len(start)), kind, order)
    return found


def _name(start, kind, order):
    if kind == COMPRESSED:
        start = _inflated(start, START_BYTES)[0][8:]
    elif kind != MATRIX:
        raise ValueError(f"an element of type {kind} stands where a variable should")
    elements = _elements(start, order)
    for _ in ("class", "dimensions"):
        _next(elements)
    return bytes(_next(elements)[1]).decode("latin-1")


def _variable(contents, kind, order):
    if kind == MATRIX:
        return _value(contents, order)
    length = 8 + _numbers(_inflated(contents, 8)[0], "2I", order)[1]
    contents, is_all = _inflated(contents, length)
    if len(contents) < length or not is_all:
        raise ValueError("a compressed variable has another length than it says")
    return _value(memoryview(contents)[8:], order)


def _value(matrix, order, in_cell=False):
    """What `read` returns for the bytes of one matrix."""
    if not len(matrix):
        return EMPTY
    elements = _elements(matrix, order)
    flags = _numbers(_next(elements)[1], "2I", order)[0]
    kind, is_complex = flags & 0xFF, flags & COMPLEX
    dimensions = np.frombuffer(_next(elements)[1], f"{order}i4").tolist()
    if not 2 <= len(dimensions) <= MOST_DIMENSIONS or min(dimensions) < 0:
        raise ValueError(f"a variable has the dimensions {dimensions[:MOST_DIMENSIONS]}")
    _next(elements)  # its name
    if kind == CELL and not in_cell:
        return _cells(elements, dimensions, order)
    if kind == LETTERS:
        return _letters(_next(elements), dimensions, order)
    if kind in NUMBERS:
        real = _array(_next(elements), dimensions, order)
        return real + 1j * _array(_next(elements), dimensions, order) if is_complex else real
    return None


def _cells(elements, dimensions, order):
    values = [_value(contents, order, in_cell=True) for _, contents in elements]
    cells = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        cells[i] = value  # all at once, NumPy would look into arrays
    return _shaped(cells, dimensions)


def _array(element, dimensions, order):
    kind, contents = element
    if kind not in NUMBER_TYPES:
        raise ValueError(f"numbers of the unknown type {kind}")
    dtype = np.dtype(order + NUMBER_TYPES[kind])
    if len(contents) % dtype.itemsize:
        raise ValueError("the last number of a variable is cut short")
    return _shaped(np.frombuffer(contents, dtype), dimensions)


def _letters(element, dimensions, order):
    """The string of a row of letters; None for a table of them."""
    kind, contents = element
    if kind not in LETTER_CODES:
        raise ValueError(f"letters of the unknown type {kind}")
    code = LETTER_CODES[kind]
    code += {"<": "-le", ">": "-be"}[order] if code in ("utf-16", "utf-32") else ""
    text = bytes(contents).decode(code)
    return text if dimensions[0] == 1 or not text else None


def _shaped(values, dimensions):
    if len(values) != math.prod(dimensions):
        raise ValueError(f"a variable of {' x '.join(map(str, dimensions))} has {len(values)} values")
    return values.reshape(dimensions, order="F")


def _elements(contents, order):
    """Yields (type, contents) of each of the elements that follow one another."""
    contents, position = memoryview(contents), 0
    while position < len(contents):
        tag = contents[position : position + 8]
        kind, length = _numbers(tag, "2I", order)
        if kind >> 16:  # a small one, which lies within its tag
            kind, length, start = kind & 0xFFFF, kind >> 16, position + 4
            position += 8
        else:
            start = position + 8
            position = start + -(-length // 8) * 8
        if start + length > min(len(contents), position):
            raise ValueError("a part of a variable is longer than the variable")
        yield kind, contents[start : start + length]


def _next(elements):
    for element in elements:
        return element
    raise ValueError("a part of a variable is missing")


def _numbers(contents, form, order):
    if len(contents) < struct.calcsize(form):
        raise ValueError("a part of a variable is cut short")
    return struct.unpack_from(order + form, contents)


def _inflated(contents, most):
    """At most that many of the bytes that were compressed, and whether these are all."""
    stream = zlib.decompressobj()
    try:
        return stream.decompress(contents, most), stream.eof or (not stream.decompress(stream.unconsumed_tail, 1) and stream.eof)
    except zlib.error as error:
        raise ValueError(f"a compressed variable is damaged ({error})") from error
