"""XML as label files need it: elements, attributes and text, and nothing that a parser could be made to do harm with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLParser, XMLPullParser

from saccade.errors import DataError, displayable

DEEPEST = 64
"""Elements within each other."""
_PIECE = 1 << 16
_SILENT = 1 << 24  # characters without an element
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ENCODING = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|(us-)?ascii|iso-?8859-?\d+|latin-?1|windows-?\d+|cp\d+|gb\w{1,6}|big5|shift[_-]?jis|euc[_-]\w{2}|koi8-\w", re.IGNORECASE
)
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)[^>]{0,40}")


def parse(data: bytes, where: str) -> Element:
    """The root element of a document with all that is in it.

    Raises DataError ANN-XML for what no label file needs (a DOCTYPE or any other declaration, which is refused before anything is
    parsed; more than 64 elements within each other; 16 million characters without one), ANN-UNREADABLE for what is not well-formed.

    >>> parse(b"<a><b c='1'>x</b></a>", "a.xml")[0].attrib
    {'c': '1'}
    """
    text = _text(data, where)
    if len(text) > _PIECE:
        root = Element("")
        for event, element, depth in _events(text, where):
            if event == "start" and depth == 1:
                root = element
        return root
    try:
        parser = XMLParser()
        parser.feed(text)
        root = parser.close()
    except ParseError as error:
        raise DataError("ANN-UNREADABLE", str(error), where=where) from error
    level = [root]
    for _ in range(DEEPEST):
        level = [inner for element in level for inner in element]
        if not level:
            return root
    raise _too_deep(where)


def children(data: bytes, where: str) -> Iterator[Element]:
    """The root element as it begins, then each of its children when it is complete; a child is forgotten when the next is asked for.

    Raises DataError as `parse` does, in the course of the iteration.
    """
    root: Element | None = None
    for event, element, depth in _events(_text(data, where), where):
        if root is None:
            root = element
            yield Element(root.tag, root.attrib)
        elif event == "end" and depth == 2:
            yield element
            root.clear()


def _events(text: str, where: str) -> Iterator[tuple[str, Element, int]]:
    """(start or end, element, its depth from 1) one after another."""
    parser: Any = XMLPullParser(("start", "end"))
    depth = first = silent = 0
    while first <= len(text):
        last = first + min(max(_PIECE, silent), 64 * _PIECE)  # longer and longer pieces: the parser looks at an unfinished tag anew with each
        try:
            parser.feed(text[first:last])  # as text: the encoding that the document declares is not looked at again
            if last > len(text):
                parser.close()
            events = list(parser.read_events())
        except ParseError as error:
            raise DataError("ANN-UNREADABLE", str(error), where=where) from error
        silent = 0 if events else silent + last - first
        first = last
        if silent > _SILENT:
            raise DataError("ANN-XML", f"more than {_SILENT:,} characters without an element", where=where)
        for event, element in events:
            opens = event == "start"
            depth += opens
            if depth > DEEPEST:
                raise _too_deep(where)
            yield event, element, depth
            depth -= not opens


def _too_deep(where: str) -> DataError:
    return DataError("ANN-XML", f"more than {DEEPEST} elements within each other", where=where)


def _text(data: bytes, where: str) -> str:
    """The document as text, without a declaration that defines anything."""
    text = _decoded(data, where)
    if declared := _DECLARATION.search(text):
        raise DataError("ANN-XML", displayable(declared[0]), where=where)
    return text


def _decoded(data: bytes, where: str) -> str:
    """The text, by its byte order mark, else by the encoding it declares, else UTF-8."""
    declared = _DECLARED.match(data[:400])
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif data[:2] in (b"<\0", b"\0<"):
        encoding = "utf-16-le" if data[0] else "utf-16-be"
    else:
        encoding = declared[1].decode("ascii") if declared else "utf-8"
        encoding = "utf-8" if data[:3] == b"\xef\xbb\xbf" or encoding.lower().startswith(("utf-16", "utf16")) else encoding
    if not _ENCODING.fullmatch(encoding):
        raise DataError("ANN-UNREADABLE", f"the encoding {encoding}", where=where, fix="save it as UTF-8")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError("ANN-UNREADABLE", f"not the {encoding} that it should be", where=where, fix="save it as UTF-8") from error
