#!/usr/bin/env python3
"""Takes docs/pictures/chat.png: a real conversation with a run, typed into `antiphon chat` on a terminal.

chat_picture.py RUN PICTURE.png LINE...    (needs pyte from PyPI and Debian's chromium)
Each line is typed once the prompt is back.
"""
import html
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyte

COLUMNS, ROWS = 104, 60
STYLE = """body { margin: 0; background: #16181d; } pre { margin: 0; padding: 22px 26px; color: #d7dae0; font: 15px/1.45 "DejaVu Sans Mono", monospace; }
.you { color: #8fc3ff; font-weight: bold } .note { color: #8b93a1 }"""


def converse(run, lines):
    """The terminal's lines after all of `lines` were typed and answered."""
    screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10000)
    stream = pyte.ByteStream(screen)
    pid, handle = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvp("build/bin/antiphon", ["antiphon", "chat", run, "--history", ""])
    import fcntl, struct, termios
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def settle(quiet=3.0):
        last = time.monotonic()
        while time.monotonic() - last < quiet:
            if select.select([handle], [], [], 0.1)[0]:
                try:
                    stream.feed(os.read(handle, 65536))
                except OSError:
                    return
                last = time.monotonic()

    while not screen.display[screen.cursor.y].startswith("> "):
        settle(0.3)
    for line in lines:
        os.write(handle, line.encode() + b"\r")
        settle()
    os.write(handle, b"/quit\r")
    os.waitpid(pid, 0)
    top = ["".join(row[x].data for x in range(COLUMNS)) for row in screen.history.top]
    return [row.rstrip() for row in top + screen.display]


def page(rows):
    begin = next(i for i, row in enumerate(rows) if row.startswith("> "))
    while rows[-1] in ("", ">"):
        rows.pop()
    out = []
    for row in rows[begin:]:
        kind = "you" if row.startswith("> ") else "note" if row.startswith("[") or "goes with the next" in row else ""
        out.append(f'<span class="{kind}">{html.escape(row)}</span>')
    return f"<style>{STYLE}</style><pre>" + "\n".join(out) + "</pre>", len(out)


def main():
    run, picture, lines = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3:]
    text, height = page(converse(run, lines))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chat.html"
        file.write_text(text)
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size=1000,{height * 22 + 50}", f"--screenshot={picture}", file.as_uri()],
                       check=True, capture_output=True)


if __name__ == "__main__":
    main()
