"""What the web pages share: no script, no request, nothing beside the file; light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path

from thesislib.data.checking import printable

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
"""
COLOURS = """
:root { --ground: #fff; --ink: #1d2126; --quiet: #5b6470; --line: #dfe3e8; --tile: #eef1f4;
 --right: #00694c; --wrong: #a63d00; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --ink: #e8ebee; --quiet: #a3adb8;
 --line: #2e343b; --tile: #22272d; --right: #4fd0a5; --wrong: #ff9a5c; } }
* { box-sizing: border-box; }
"""
# What the pages that go along a video share, after the colours.
OVER_TIME = """
:root { --fill: #0072b2; --warn: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --fill: #56b4e9; --warn: #3a3116; } }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--ground);
 color: var(--ink); font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
header p { margin: .4rem 0; max-width: 46rem; color: var(--quiet); }
header .warning { background: var(--warn); color: var(--ink); padding: .6rem .8rem;
 border-left: 4px solid var(--wrong); }
a { color: inherit; }
.quiet { color: var(--quiet); }
.ticks { display: flex; justify-content: space-between; font-size: .75rem; color: var(--quiet);
 font-variant-numeric: tabular-nums; margin: .2rem 0 .5rem; }
"""


def over_time(title: str, style: str, header: str, main: str) -> str:
    """A page that goes along a video.

    Args:
        title: Plain text.
        style: CSS, after :data:`COLOURS`.
        header: HTML.
        main: HTML.
    """
    return (
        HEAD.format(title=text(title))
        + f"<style>{COLOURS}{style}</style>\n</head>\n<body>\n<header>{header}</header>\n"
        + f"<main>{main}</main>\n</body>\n</html>\n"
    )


def paragraphs(notes: Iterable[str], warning: str) -> str:
    """Plain texts for the top of a page; what must not be overlooked, if anything, is the first."""
    first = f"<p class=warning role=note>{text(warning)}</p>" if warning else ""
    return first + "".join(f"<p>{text(note)}</p>" for note in notes)


def text(words: str) -> str:
    """A text from outside, escaped for a page and for an attribute."""
    return html.escape(printable(words), quote=True)


def breaking(words: str) -> str:
    """May go on in the next line after each part of a file's name."""
    return text(words).replace("/", "/<wbr>").replace("_", "_<wbr>")


def link(path: str) -> str:
    """The address of a file, by its absolute path."""
    return html.escape(Path(path).as_uri(), quote=True)


def inline(data: bytes) -> str:
    """For an address that holds the data itself."""
    return base64.b64encode(data).decode("ascii")
