#!/usr/bin/env python3
"""Makes an SVG picture of a command's coloured output, as a terminal shows it.

    docs/terminal-svg.py "cargo run --release -- demo" target/release/fanfare demo > docs/demo.svg

The first argument is the line shown at the prompt; the rest is the command that is run, in a
pseudo-terminal so that it colours its output. Knows the colours that Fanfare uses, and no more.
"""

import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios

COLUMNS, CHAR, LINE, MARGIN = 108, 7.8, 18, 16
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341"}


def run(command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    output = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            part = b""
        if not part:
            break
        output += part
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(f"the command ended with {status}")
    return output.decode().replace("\r\n", "\n").rstrip("\n")


def spans(line):
    """Pairs of style and text; the position of each is its count of characters."""
    style, at = {}, 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not code:
            if part.strip():
                yield at, dict(style), part
            at += len(part)
        elif code[1] in ("", "0"):
            style = {}
        elif code[1] == "1":
            style["font-weight"] = "bold"
        elif code[1] == "2":
            style["fill"] = "#8b949e"
        else:
            style["fill"] = COLOURS.get(code[1], "#e6edf3")


def svg(lines):
    columns = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines)
    width, height = round(columns * CHAR + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'
        f'\'DejaVu Sans Mono\',monospace" font-size="13" fill="#e6edf3">'
    )
    yield f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
    for row, line in enumerate(lines):
        y = MARGIN + row * LINE + 13
        for at, style, text in spans(line):
            lead = len(text) - len(text.lstrip())
            text, x = text.strip(), round(MARGIN + (at + lead) * CHAR, 1)
            style = "".join(f' {name}="{value}"' for name, value in style.items())
            # The length keeps columns straight whatever font the reader has.
            length = round(len(text) * CHAR, 1)
            yield (
                f'<text x="{x}" y="{y}" textLength="{length}" lengthAdjust="spacingAndGlyphs" '
                f'xml:space="preserve"{style}>{html.escape(text, quote=False)}</text>'
            )
    yield "</svg>"


print("\n".join(svg([f"\x1b[2m$\x1b[0m \x1b[1m{sys.argv[1]}\x1b[0m", *run(sys.argv[2:]).split("\n")])))
