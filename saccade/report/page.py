"""The page around the sections: head, style, and the few pieces of HTML that they are built from. Every text is escaped here."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import Any

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6675;--line:#d9dee5;--paper:#fff;--wash:#f4f6f9;--accent:#2f5f98;--good:#1d7a4a;--bad:#b3362f}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--line:#38414d;--paper:#171b21;--wash:#1f252d;--accent:#86b4e8;--good:#6cc796;
--bad:#f0857d}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:70rem;margin:0 auto;padding:2rem 1.25rem 4rem}h1{font-size:1.7rem;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.6rem 0 .7rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .4rem}p{max-width:48rem}.lead{font-size:1.12rem}.soft{color:var(--soft)}nav{font-size:.9rem;margin:1rem 0}
nav a{margin-right:.9rem;white-space:nowrap}
a{color:var(--accent)}table{border-collapse:collapse;font-size:.9rem;margin:.5rem 0 1rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:.85rem;padding-bottom:.3rem}
th,td{white-space:nowrap;padding:.28rem .55rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th{font-weight:600;color:var(--soft)}th:first-child,td:first-child{text-align:left}th.words{text-align:left}td.words{white-space:normal;text-align:left;overflow-wrap:anywhere}
.wide{overflow-x:auto}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,34rem),1fr));gap:.9rem}.pairs img{width:100%}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.9rem}
figure{margin:0;font-size:.82rem;line-height:1.35;overflow-wrap:anywhere}
figure img,figure .gone{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:var(--wash);border-radius:4px;image-rendering:auto}
figure .gone{display:flex;align-items:center;justify-content:center;color:var(--soft);padding:.5rem;text-align:center}.ok{color:var(--good)}
.no{color:var(--bad)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1rem}
.plots svg{width:100%;max-width:34rem;height:auto}
pre{background:var(--wash);padding:.8rem 1rem;border-radius:4px;overflow-x:auto;font-size:.88rem}td.cell{text-align:center;min-width:2.2rem}
table.matrix th{font-weight:400;max-width:9rem;overflow:hidden;text-overflow:ellipsis}table.matrix th[scope=row]{text-align:right}
.cells{display:flex;flex-wrap:wrap;gap:0 2.5rem}.cells .grid{grid-template-columns:repeat(auto-fill,7.5rem);width:min(100%,16rem)}
.call{border-left:4px solid var(--line);padding:.1rem 0 .1rem .9rem;max-width:48rem}.call.ok{border-color:var(--good)}.call.no{border-color:var(--bad)}
@media print{nav{display:none}h2{break-after:avoid}figure,table{break-inside:avoid}}
"""


def text(value: Any) -> str:
    """Any value as text that cannot be mistaken for HTML."""
    return html.escape(str(value), quote=True)


def page(title: str, subtitle: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole document; a section is (anchor, heading, inner HTML)."""
    links = "".join(f'<a href="#{anchor}">{text(heading)}</a> ' for anchor, heading, _ in sections)
    body = "".join(f'<section id="{anchor}"><h2>{text(heading)}</h2>{inner}</section>\n' for anchor, heading, inner in sections)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{text(title)}</title><style>{STYLE}</style></head>\n'
        f'<body><main><h1>{text(title)}</h1><p class="soft">{text(subtitle)}</p><nav aria-label="sections">{links}</nav>\n{body}</main></body></html>\n'
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], *, words: Sequence[int] = ()) -> str:
    """A table; the columns in `words` hold text and may wrap."""
    head = "".join(f'<th scope="col"{" class=words" if i in words else ""}>{text(h)}</th>' for i, h in enumerate(heads))
    body = ""
    for row in rows:
        cells = "".join(f'<td class="words">{text(c)}</td>' if i in words else f"<td>{text(c)}</td>" for i, c in enumerate(row))
        body += f"<tr>{cells}</tr>"
    return f'<div class="wide"><table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def picture(jpeg: bytes | None, name: str, lines: Sequence[tuple[str, str]]) -> str:
    """A thumbnail (JPEG) with its lines (text, class); a box with the name where the image is gone."""
    if jpeg is None:
        shown = f'<span class="gone">{text(name)} cannot be read any more</span>'
    else:
        shown = f'<img alt="{text(name)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
    words = "<br>".join(f'<span class="{kind}">{text(line)}</span>' for line, kind in lines)
    return f"<figure>{shown}<figcaption>{words}</figcaption></figure>"


def interval(value: dict[str, Any], digits: int = 3) -> str:
    """0.912 [0.901, 0.923]; a dash for a number that does not exist."""
    if value.get("value") is None:
        return "–"
    shown = f"{value['value']:.{digits}f}"
    if value.get("low") is None or value.get("high") is None:
        return shown
    return f"{shown} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
