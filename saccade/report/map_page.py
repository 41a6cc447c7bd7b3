"""map.html: a map of codes to walk on, in one file without network: zoom, pan, pictures under the pointer, classes shown and hidden, a search.

Without script the page is the drawing and its list of classes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from saccade.ops.sheets import fitted
from saccade.report.map_drawing import OTHER, palette, svg, unit
from saccade.report.page import text

Array = np.ndarray[Any, Any]
TILE, ACROSS = 48, 40  # pixels of a thumbnail, thumbnails in a row of the sheet
GRAIN = 10_000  # steps that a coordinate is rounded to

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6675;--paper:#fff;--line:#d9dee5}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--paper:#171b21;--line:#38414d}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
header{padding:.8rem 1rem .4rem}h1{font-size:1.15rem;margin:0}p{margin:.2rem 0;color:var(--soft);font-size:.88rem}
#all{display:flex;gap:1rem;padding:0 1rem 1rem;flex-wrap:wrap}#plane{position:relative;flex:1 1 30rem;min-width:0}
canvas{width:100%;height:min(80vh,60rem);border:1px solid var(--line);border-radius:6px;touch-action:none;cursor:grab;display:block}
#side{flex:0 0 13rem;font-size:.88rem}#side button{display:flex;gap:.5rem;align-items:center;width:100%;border:0;background:none;color:inherit;font:inherit;
text-align:left;padding:.15rem .2rem;cursor:pointer}#side button[aria-pressed=false]{opacity:.35}.dot{width:.8rem;height:.8rem;border-radius:50%;flex:none}
input{width:100%;font:inherit;padding:.3rem .4rem;margin-bottom:.5rem;border:1px solid var(--line);border-radius:4px;background:var(--paper);color:inherit}
#tip{position:absolute;pointer-events:none;background:var(--paper);border:1px solid var(--line);border-radius:6px;padding:.4rem;font-size:.8rem;max-width:16rem;
overflow-wrap:anywhere;display:none}#tip canvas{width:96px;height:96px;border:0;image-rendering:pixelated}noscript svg{max-width:100%;height:auto}
"""

SCRIPT = """
"use strict";
const D=JSON.parse(document.getElementById("data").textContent),N=D.x.length,G=D.grain;
const C=document.getElementById("map"),T=document.getElementById("tip"),S=new Image();
const hidden=new Set();let zoom=1,left=0,top_=0,found="",over=-1,drag=null,ready=false;
S.onload=()=>{ready=true;draw()};if(D.sheet)S.src=D.sheet;
const size=()=>{const r=devicePixelRatio||1;C.width=C.clientWidth*r;C.height=C.clientHeight*r;draw()};
const side=()=>Math.min(C.width,C.height)*0.94;
const sx=i=>(D.x[i]/G-0.5)*side()*zoom+C.width/2+left,sy=i=>(D.y[i]/G-0.5)*side()*zoom+C.height/2+top_;
function tile(ctx,k,x,y,w){ctx.drawImage(S,k%D.across*D.tile,Math.floor(k/D.across)*D.tile,D.tile,D.tile,x,y,w,w)}
function draw(){const g=C.getContext("2d");g.clearRect(0,0,C.width,C.height);const r=devicePixelRatio||1;
const d=Math.max(1.3,Math.min(5,70/Math.sqrt(N)))*r*Math.min(2,Math.sqrt(zoom));const w=Math.min(D.tile,9*zoom)*r,pictures=ready&&zoom>2.5;
for(let i=0;i<N;i++){if(hidden.has(D.l[i]))continue;const x=sx(i),y=sy(i);if(x<-w||y<-w||x>C.width+w||y>C.height+w)continue;
const hit=found&&D.id[i].toLowerCase().includes(found);g.globalAlpha=found&&!hit?0.15:0.85;
if(pictures&&D.t[i]>=0){tile(g,D.t[i],x-w/2,y-w/2,w);g.strokeStyle=D.colours[D.l[i]];g.lineWidth=2*r;g.strokeRect(x-w/2,y-w/2,w,w)}
else{g.fillStyle=D.colours[D.l[i]];g.beginPath();g.arc(x,y,d,0,7);g.fill()}
if(D.n[i]||i===over||hit){g.globalAlpha=1;g.strokeStyle=getComputedStyle(document.body).color;g.lineWidth=1.5*r;g.beginPath();g.arc(x,y,d+3*r,0,7);g.stroke()}}
g.globalAlpha=1}
function nearest(px,py){let best=-1,least=(14*(devicePixelRatio||1))**2;for(let i=0;i<N;i++){if(hidden.has(D.l[i]))continue;
const a=sx(i)-px,b=sy(i)-py,q=a*a+b*b;if(q<least){least=q;best=i}}return best}
function tell(e){const r=devicePixelRatio||1,b=C.getBoundingClientRect(),i=nearest((e.clientX-b.left)*r,(e.clientY-b.top)*r);
if(i!==over){over=i;draw()}if(i<0){T.style.display="none";return}
T.replaceChildren();if(ready&&D.t[i]>=0){const k=document.createElement("canvas");k.width=k.height=D.tile;
tile(k.getContext("2d"),D.t[i],0,0,D.tile);T.append(k)}
const words=document.createElement("div");words.textContent=D.id[i]+(D.names[D.l[i]]?" \\u2014 "+D.names[D.l[i]]:"")+(D.n[i]?" (new)":"");T.append(words);
T.style.display="block";const x=e.clientX-b.left,y=e.clientY-b.top;T.style.left=Math.min(x+14,b.width-140)+"px";T.style.top=Math.min(y+14,b.height-120)+"px"}
function scale(f,px,py){const cx=px-C.width/2,cy=py-C.height/2;f=Math.max(0.5,Math.min(200,zoom*f))/zoom;left=cx-(cx-left)*f;top_=cy-(cy-top_)*f;zoom*=f;draw()}
C.addEventListener("wheel",e=>{e.preventDefault();const r=devicePixelRatio||1,b=C.getBoundingClientRect();
scale(Math.exp(-e.deltaY*0.0016),(e.clientX-b.left)*r,(e.clientY-b.top)*r)},{passive:false});
C.addEventListener("pointerdown",e=>{drag=[e.clientX,e.clientY];C.setPointerCapture(e.pointerId)});
C.addEventListener("pointermove",e=>{if(!drag)return tell(e);const r=devicePixelRatio||1;
left+=(e.clientX-drag[0])*r;top_+=(e.clientY-drag[1])*r;drag=[e.clientX,e.clientY];draw()});
for(const end of["pointerup","pointercancel"])C.addEventListener(end,()=>{drag=null});
C.addEventListener("pointerleave",()=>{over=-1;T.style.display="none";draw()});
C.addEventListener("dblclick",()=>{zoom=1;left=top_=0;draw()});
C.addEventListener("keydown",e=>{const m={ArrowLeft:[40,0],ArrowRight:[-40,0],ArrowUp:[0,40],ArrowDown:[0,-40]}[e.key];
if(m){left+=m[0];top_+=m[1];draw();e.preventDefault()}else if(e.key==="+"||e.key==="-")scale(e.key==="+"?1.3:1/1.3,C.width/2,C.height/2)});
document.getElementById("search").addEventListener("input",e=>{found=e.target.value.trim().toLowerCase();draw()});
const L=document.getElementById("legend");D.names.forEach((name,k)=>{const b=document.createElement("button"),d=document.createElement("span");
d.className="dot";d.style.background=D.colours[k];b.setAttribute("aria-pressed","true");
b.append(d,document.createTextNode((name||"without a name")+" ("+D.counts[k]+")"));
b.addEventListener("click",()=>{hidden.has(k)?hidden.delete(k):hidden.add(k);b.setAttribute("aria-pressed",String(!hidden.has(k)));draw()});L.append(b)});
addEventListener("resize",size);size();
"""


def page(
    points: Array, ids: Sequence[str], labels: Sequence[str], *, title: str, about: str, pictures: Sequence[Array | None] = (), new: Array | None = None
) -> str:
    """The whole document. points: (n, 2). pictures: of each point (h, w, 3) uint8, or None where it is shown as a dot; empty for none at all.
    new: (n,) bool, the points that were placed on a map that was there."""
    drawing = svg(points, labels, title=title, new=new)
    data = json.dumps(_data(points, ids, labels, pictures, new), separators=(",", ":")).replace("<", "\\u003c")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    help_ = "Wheel or + and - zoom, dragging or the arrows move, a double click shows everything; pictures appear when zoomed in."
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{text(title)}</title><style>{STYLE}</style></head>\n'
        f"<body><header><h1>{text(title)}</h1><p>{text(about)}</p><p>{text(help_)}</p></header>"
        f"<noscript><style>#all{{display:none}}</style>{drawing}</noscript>"
        f'<div id="all"><div id="plane"><canvas id="map" tabindex="0" aria-label="{text(title)}"></canvas><div id="tip" role="status"></div></div>'
        f'<div id="side"><input id="search" type="search" placeholder="find a name" aria-label="find a name"><div id="legend"></div></div></div>\n'
        f'<script type="application/json" id="data">{data}</script>\n<script>{SCRIPT}</script></body></html>\n'
    )


def _data(points: Array, ids: Sequence[str], labels: Sequence[str], pictures: Sequence[Array | None], new: Array | None) -> dict[str, Any]:
    """What the script draws from: whole numbers, names and one sheet of thumbnails."""
    spots = (unit(points) * GRAIN).round().astype(int)
    colours = palette(labels)
    names = [name for name in colours if name in set(labels)]
    place = {name: k for k, name in enumerate(names)}
    shown = [i for i, picture in enumerate(pictures) if picture is not None]
    tiles = {i: k for k, i in enumerate(shown)}
    return {
        "x": spots[:, 0].tolist(),
        "y": spots[:, 1].tolist(),
        "l": [place[label] for label in labels],
        "n": [0] * len(points) if new is None else new.astype(int).tolist(),
        "t": [tiles.get(i, -1) for i in range(len(points))],
        "id": list(ids),
        "names": names,
        "colours": [colours.get(name, OTHER) for name in names],
        "counts": [sum(label == name for label in labels) for name in names],
        "grain": GRAIN,
        "tile": TILE,
        "across": ACROSS,
        "sheet": _sheet([pictures[i] for i in shown]) if shown else "",
    }


def _sheet(pictures: Sequence[Array | None]) -> str:
    """All thumbnails in rows of forty, as a data URL."""
    rows = -(-len(pictures) // ACROSS)
    canvas = np.full((rows * TILE, ACROSS * TILE, 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        assert picture is not None
        y, x = k // ACROSS * TILE, k % ACROSS * TILE
        canvas[y : y + TILE, x : x + TILE] = fitted(picture, TILE)
    data = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
