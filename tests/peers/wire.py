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
    """Runs `judge` on each question of the JSON list on standard input, and prints the answers.

    `judge` returns a dict of what it accepted, or raises `Refused`. Anything else that goes wrong
    is a fault of the verifier, and ends it with a traceback and no answers: a test that expects a
    refusal must not be satisfied by a crash.
    """

    def answer(question):
        try:
            return {"ok": True, **judge(question)}
        except Refused as reason:
            return {"ok": False, "error": str(reason)}

    say([answer(question) for question in json.load(sys.stdin)])


class Refused(Exception):
    """What was asked about is not valid; the message says why."""
