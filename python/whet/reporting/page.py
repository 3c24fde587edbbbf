"""What a page is made of: text that is escaped, tables, sections, and the style of the whole."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["cards", "code", "document", "folded", "note", "section", "table", "text"]

# Colours are named once for light and once for dark; paper is light. Plots take theirs from here.
_STYLE = """
:root { --ink: #1f2328; --dim: #59636e; --paper: #ffffff; --panel: #f5f7f9; --line: #d5dbe1; --accent: #0b62c4;
  --bad: #b42318; --good: #1a7f37; color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --dim: #9aa4ae; --paper: #14181d;
  --panel: #1d232a; --line: #36404a; --accent: #6cb0ff; --bad: #ff8a7a; --good: #5fd07c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
p { margin: .3rem 0 .7rem; max-width: 46rem; }
.dim { color: var(--dim); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1.2rem 0; }
.card, .finding, figure { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; }
.card b { display: block; font-size: 1.35rem; line-height: 1.2; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.finding { border-left: 4px solid var(--bad); margin: .7rem 0; }
.finding.none { border-left-color: var(--good); }
.finding ul { margin: .2rem 0 0; padding-left: 1.2rem; }
.plots { margin-top: .8rem; display: grid; gap: .8rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
figure { margin: 0; }
figcaption { color: var(--dim); font-size: .88rem; margin-top: .3rem; }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
svg text { fill: currentColor; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
table { overflow-wrap: normal; }
td.number, th.number { text-align: right; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  white-space: pre-wrap; font: .86rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
summary { cursor: pointer; color: var(--accent); margin: .4rem 0; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; }
  figure, .finding, .card, tr { break-inside: avoid; }
  h2 { break-after: avoid; } pre { white-space: pre-wrap; } }
"""


def text(value: object) -> str:
    """Escape what comes from outside."""
    return html.escape(str(value))


def document(title: str, body: Iterable[str]) -> str:
    """The whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A headline and what stands below it."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def note(words: str) -> str:
    """A paragraph in small letters."""
    return f'<p class="dim">{text(words)}</p>'


def cards(numbers: Iterable[tuple[str, str, str]]) -> str:
    """Numbers in large letters: (what, number, a word more)."""
    parts = [
        f'<div class="card"><span class="dim">{text(what)}</span><b>{text(number)}</b>'
        f'<span class="dim">{text(more)}</span></div>'
        for what, number, more in numbers
    ]
    return f'<div class="cards">{"".join(parts)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[int] = ()) -> str:
    """A table; `numbers` are the columns that stand right."""

    def line(cells: Sequence[object], tag: str) -> str:
        kinds = [' class="number"' if i in numbers else "" for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{k}>{text(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True)) + "</tr>"

    body = "".join(line(cells, "td") for cells in rows)
    return f'<div class="scroll"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def code(lines: str) -> str:
    """Text to copy."""
    return f"<pre>{text(lines)}</pre>"


def folded(title: str, content: str) -> str:
    """What opens on a click."""
    return f"<details><summary>{text(title)}</summary>{content}</details>"
