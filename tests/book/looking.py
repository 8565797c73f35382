"""Pages in a real browser, without a network, in a wide and in a phone-wide window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
WIDE, PHONE = 1280, 390

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser to look with: none of {', '.join(NAMES)} is installed"
)

HARNESS = (Path(__file__).parent / "look.html").read_text(encoding="utf-8")
# A browser writes every message of a page to its log and does not say which are errors.
MESSAGE = re.compile(r'CONSOLE[^"]*"(.*)", source: (\S*)')
ERRORS = ("Uncaught", "Failed to", "Refused")


def look(built: Path, pages: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What a browser sees of each page on a phone, and of the pages with figures also wide.

    Returns:
        A view for each page and width, and the errors in the browser's console.
    """
    jobs = [(page, PHONE) for page in pages]
    jobs += [(page, WIDE) for page in pages if not page.startswith("book/") or "welcome" in page]
    harness = built / "look.html"
    harness.write_text(HARNESS.replace("JOBS", json.dumps(jobs)))
    command = [
        str(BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={built.parent / 'browser'}",
        "--allow-file-access-from-files",
        # No name resolves and no proxy answers: only files of the book can be loaded.
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--proxy-server=127.0.0.1:9",
        "--window-size=1400,1000",
        "--enable-logging=stderr",
        f"--virtual-time-budget={5_000 + 5_000 * len(jobs)}",  # ends early; loading does not count
        "--dump-dom",
        harness.as_uri(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    finally:
        harness.unlink()
    match = re.search(r"SEEN(.*?)SEEN</pre>", done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    seen: list[dict[str, Any]] = json.loads(html.unescape(match.group(1)))
    said = [(source, text) for text, source in MESSAGE.findall(done.stderr)]
    return seen, [f"{s}: {t}" for s, t in said if any(word in t for word in ERRORS)]
