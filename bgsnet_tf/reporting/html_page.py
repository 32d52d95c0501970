"""Pieces of a web page that is one file: it needs no network and no script, reads on a telephone, and prints."""

import base64
import html
import io

IMAGE_QUALITY = 92  # JPEG

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 1180px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: .5rem 0 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; padding-top: .6rem; border-top: 1px solid #ccc; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
nav a { margin-right: .8rem; white-space: nowrap; }
a { color: #00558a; }
.quiet, figcaption { color: #555; font-size: .86rem; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 1.2rem 2rem; align-items: start; }
figure { margin: .5rem 0; }
figure > img { width: 100%; max-width: 560px; height: auto; display: block; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td small { display: block; color: #555; font-size: .75rem; white-space: nowrap; }
.card { border: 1px solid #ccc; border-radius: 6px; padding: .7rem; break-inside: avoid; overflow-wrap: anywhere; font-size: .9rem; }
.card p { margin: .2rem 0; }
.images { display: flex; flex-wrap: wrap; gap: .4rem; margin: .4rem 0; }
.images img { width: 78px; height: 78px; display: block; }
.images figure { margin: 0; } .images figcaption { font-size: .75rem; width: 78px; line-height: 1.2; }
.bars { display: grid; grid-template-columns: minmax(0, 1fr) 3.4rem 5rem; gap: .1rem .5rem; align-items: center; font-size: .85rem; }
.bars b { text-align: right; font-weight: normal; font-variant-numeric: tabular-nums; }
.bars i { height: .7rem; background: #D55E00; } .bars i.against { background: #0072B2; }
.flags { columns: 18rem; font: .8rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; padding: 0; margin: .4rem 0; list-style: none; }
.right { color: #00704a; } .wrong { color: #b04a00; }
@media (max-width: 480px) { th, td { padding: .25rem .2rem; font-size: .85rem; } td small { white-space: normal; } }
@media print {
  body { max-width: none; font-size: 11pt; padding: 0; }
  nav { display: none; } h2, h3 { break-after: avoid; } figure { break-inside: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""

text = html.escape


def page(title, sections):
    """The whole document. `sections` are (id, heading, HTML) triples."""
    links = " ".join(f'<a href="#{name}">{text(heading)}</a>' for name, heading, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{text(heading)}</h2>{content}</section>\n' for name, heading, content in sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>{CSS}</style></head>\n'
        f"<body><h1>{text(title)}</h1><nav>{links}</nav>\n{body}</body></html>\n"
    )


def svg(contents, description, caption=""):
    """A figure of the bytes of an SVG file. As an image it cannot clash with another figure's names."""
    data = base64.b64encode(contents).decode()
    note = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{text(description)}">{note}</figure>'


def picture(pixels, description, caption):
    """A small figure of an image (H, W, 3) uint8."""
    import matplotlib.image

    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="jpg", pil_kwargs={"quality": IMAGE_QUALITY})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<figure><img src="data:image/jpeg;base64,{data}" alt="{text(description)}"><figcaption>{text(caption)}</figcaption></figure>'


def table(header, rows):
    """A table; cells are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def bars(names, values, largest):
    """A line with name, signed value and bar for each value; `largest` is the value that fills the width."""
    lines = []
    for name, value in zip(names, values):
        against = "" if value > 0 else ' class="against"'
        lines.append(f'<span>{text(name)}</span><b>{value:+.2f}</b><i{against} style="width:{abs(value) / largest:.0%}"></i>')
    return f'<div class="bars">{"".join(lines)}</div>'
