"""What every Python peer says on standard output: one JSON object a line.

The first line is `{"ready": PORT}`; each line after it is one thing that was received.
"""

import json
import sys
import threading

_lock = threading.Lock()


def say(thing):
    """Prints one line, whole, at once."""
    with _lock:
        sys.stdout.write(json.dumps(thing, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def ready(port, **more):
    """The first line: the port that is listened on."""
    say({"ready": port, **more})


def verdict(judge):
    """Runs `judge` on the JSON of standard input, prints what it found, and exits 0 or 1.

    `judge` returns a dict of what it accepted, or raises `Refused`. Anything else that goes wrong
    is a fault of the verifier, and ends it with a traceback and another exit code: a test that
    expects a refusal must not be satisfied by a crash.
    """
    asked = json.load(sys.stdin)
    try:
        found = judge(asked)
    except Refused as reason:
        say({"ok": False, "error": str(reason)})
        sys.exit(1)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(2)
    say({"ok": True, **found})


class Refused(Exception):
    """What was asked about is not valid; the message says why."""
