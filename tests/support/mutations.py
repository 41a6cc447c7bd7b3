"""Label files with a few tokens changed: what a careless hand, a broken exporter or an attacker would leave."""

import random
import re

TOKEN = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[A-Za-z_]+|\s+|.", re.DOTALL)
# fmt: off
NUMBERS = (
    b"0", b"-1", b"1e9", b"-1e9", b"1e308", b"1e999", b"NaN", b"nan", b"inf", b"-Infinity", b"0.5", b"1e-9", b"9" * 400, b"007", b"2147483648", b"-0", b"1,5",
)
WORDS = (
    b"null", b"true", b"{}", b"[]", b'""', b"[[[", b"]]", b"<", b"</a>", b"&x;", b"<!DOCTYPE a>", b"\0", b"\xff", "\u00e9".encode(), b"\\ud800", b"\n",
    b"..", b"/", b"%s",
)
# fmt: on
OTHER = ("utf-16", "utf-16-le", "utf-32", "utf-7")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four changes of a file."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = chance.choice(CHANGES)(data, chance)
    return data


def _tokens(data: bytes, chance: random.Random, change) -> bytes:
    tokens = TOKEN.findall(data)
    if not tokens:
        return chance.choice(WORDS)
    change(tokens, chance.randrange(len(tokens)))
    return b"".join(tokens)


def delete(data, chance):
    return _tokens(data, chance, lambda tokens, i: tokens.pop(i))


def double(data, chance):
    return _tokens(data, chance, lambda tokens, i: tokens.insert(i, tokens[i]))


def swap(data, chance):
    def change(tokens, i):
        j = chance.randrange(len(tokens))
        tokens[i], tokens[j] = tokens[j], tokens[i]

    return _tokens(data, chance, change)


def number(data, chance):
    """One of the numbers becomes another."""

    def change(tokens, i):
        numbers = [k for k, token in enumerate(tokens) if token[:1].isdigit() or token[:1] == b"-"]
        tokens[chance.choice(numbers) if numbers else i] = chance.choice(NUMBERS)

    return _tokens(data, chance, change)


def word(data, chance):
    def change(tokens, i):
        tokens[i] = chance.choice(WORDS)

    return _tokens(data, chance, change)


def another(data, chance):
    """A token takes the place of another."""

    def change(tokens, i):
        tokens[i] = chance.choice(tokens)

    return _tokens(data, chance, change)


def nest(data, chance):
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"(", b")"), (b'"', b'"')))
    depth, at = chance.choice((1, 3, 70, 3000)), chance.randrange(len(data) + 1)
    return data[:at] + opening * depth + closing * chance.choice((depth, 0)) + data[at:]


def truncate(data, chance):
    return data[: chance.randrange(len(data) + 1)]


def lines(data, chance):
    """A line is taken away, doubled, or put elsewhere."""
    rows = data.splitlines(keepends=True)
    if not rows:
        return data
    row = rows.pop(chance.randrange(len(rows)))
    for _ in range(chance.choice((0, 1, 2, 50))):
        rows.insert(chance.randrange(len(rows) + 1), row)
    return b"".join(rows)


def flip(data, chance):
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def encode(data, chance):
    return data.decode("utf-8", "replace").encode(chance.choice(OTHER))


def repeat(data, chance):
    """A piece of the file, many times."""
    first = chance.randrange(len(data) + 1)
    piece = data[first : first + chance.choice((1, 10, 100))]
    return data[:first] + piece * chance.choice((2, 30, 1000)) + data[first:]


CHANGES = (delete, double, swap, number, number, number, word, another, nest, truncate, lines, flip, encode, repeat)
