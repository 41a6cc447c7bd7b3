"""Model files with random damage to their header: every one is refused with a ModelError, and none costs memory."""

import json
import struct
import time
import tracemalloc

import numpy as np

from saccade import bundle
from saccade.errors import ModelError
from tests.support.bundle_files import write_tiny

SECONDS = 8.0
WORDS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"0", b"9" * 30, b"-1", b"1e999", b"NaN", b"null", b"F64", b"BOOL", b"\\u0000", b"\xff", b"../", b" " * 50]


def mutated(good, chance, header_end):
    """One to four changes: a bit, a byte, a word, a piece cut out or doubled, mostly with the length made to fit."""
    raw = bytearray(good[8:header_end])
    for _ in range(int(chance.integers(1, 5))):
        place, kind = int(chance.integers(len(raw))), int(chance.integers(5))
        if kind == 0:
            raw[place] ^= 1 << int(chance.integers(8))
        elif kind == 1:
            raw[place] = int(chance.integers(256))
        elif kind == 2:
            word = WORDS[int(chance.integers(len(WORDS)))]
            raw[place : place + int(chance.integers(len(word) + 1))] = word
        elif kind == 3:
            del raw[place : place + int(chance.integers(1, 40))]
        else:
            raw[place:place] = raw[place : place + int(chance.integers(1, 200))]
    length = len(raw) if chance.random() < 0.95 else int(chance.integers(2**63))
    return struct.pack("<Q", length) + bytes(raw) + good[header_end:]


def same_meaning(data, good):
    """Damage that is none: spaces between the words of the JSON, other spellings of a character."""

    def header(raw):
        return json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])

    return header(data) == header(good)


def test_damaged_headers_are_refused(tmp_path):
    good = write_tiny(tmp_path / "good.saccade").read_bytes()
    header_end, chance, path = 8 + struct.unpack("<Q", good[:8])[0], np.random.default_rng(0), tmp_path / "m.saccade"
    codes, tried, end = dict[str, int](), 0, time.monotonic() + SECONDS
    tracemalloc.start()
    while time.monotonic() < end:
        data = mutated(good, chance, header_end)
        path.write_bytes(data)
        tried += 1
        try:
            bundle.read(path)
        except ModelError as error:
            codes[error.code] = codes.get(error.code, 0) + 1
        else:
            assert same_meaning(data, good), f"trial {tried} was read"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tried > 300 and {"MODEL-CORRUPT", "MODEL-HASH"} <= set(codes)
    assert peak < 50e6
