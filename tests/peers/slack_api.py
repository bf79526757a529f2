"""Slack's side of the wire: incoming webhooks under /services/ and the Web API under /api/.

Every message is judged by slack_blocks.py and answered as Slack documents:
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
https://docs.slack.dev/reference/methods/chat.postMessage#errors

A line is `{"method", "path", "token", "message", "faults", "status", "answer"}`, `method` being
`webhook` or the Web API's name.
"""

import argparse
import itertools
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slack_blocks import faults
from wire import ready, say

# What an incoming webhook's errors come with.
WEBHOOK_STATUS = {
    "action_prohibited": 403,
    "channel_is_archived": 410,
    "channel_not_found": 404,
    "invalid_blocks": 400,
    "invalid_payload": 400,
    "invalid_token": 403,
    "no_active_hooks": 404,
    "no_service": 404,
    "no_text": 400,
    "posting_to_general_channel_denied": 403,
    "ratelimited": 429,
    "rollup_error": 500,
    "team_disabled": 403,
    "user_not_found": 400,
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--token", default="xoxb-test", help="the one token that is valid")
    parser.add_argument("--hook", default="T000/B000/XXXX", help="the one hook that exists")
    parser.add_argument("--channel", action="append", default=[], help="a channel that exists (C0TEST)")
    parser.add_argument("--archived", action="append", default=[], help="a channel that is archived")
    parser.add_argument("--fail-first", nargs=2, metavar=("N", "ERROR"), default=("0", ""),
                        help="answer the first N messages with Slack's ERROR, or an HTTP status")
    parser.add_argument("--retry-after", type=int, default=1, help="seconds, sent with ratelimited")
    parser.add_argument("--refuse-blocks", action="store_true", help="invalid_blocks for any blocks")
    parser.add_argument("--delay", type=float, default=0, help="seconds before each answer")
    return parser.parse_args()


class Refusal(Exception):
    """Slack's word for what is wrong, and its details."""

    def __init__(self, error, details=()):
        super().__init__(error)
        self.error, self.details = error, list(details)


class Slack:
    """What Slack remembers: which messages there are, and how many answers are still scripted."""

    def __init__(self, opts):
        self.opts = opts
        self.channels = set(opts.channel or ["C0TEST"])
        self.failures_left = int(opts.fail_first[0])
        self.messages = {}
        self.counter = itertools.count(1)
        self.lock = threading.Lock()

    def scripted(self):
        """The error that the next message shall have, if any is left."""
        with self.lock:
            if self.failures_left == 0:
                return None
            self.failures_left -= 1
            return self.opts.fail_first[1]

    def check(self, message):
        """Refuses what Slack would refuse in a message's content."""
        found = faults(message)
        if message.get("blocks") and (found or self.opts.refuse_blocks):
            raise Refusal("invalid_blocks", found or ["[/blocks] scripted"])
        if found:
            raise Refusal("msg_too_long", found)
        if not message.get("text") and not message.get("blocks") and not message.get("attachments"):
            raise Refusal("no_text")

    def in_channel(self, message):
        """The channel, when the token may post there."""
        channel = message.get("channel")
        if channel in self.opts.archived:
            raise Refusal("is_archived")
        if channel not in self.channels:
            raise Refusal("channel_not_found")
        return channel

    def post_message(self, message):
        channel = self.in_channel(message)
        self.check(message)
        thread = message.get("thread_ts")
        with self.lock:
            if thread and (channel, thread) not in self.messages:
                raise Refusal("thread_not_found")
            ts = f"{int(time.time())}.{next(self.counter):06}"
            self.messages[channel, ts] = message
        shown = {"type": "message", "user": "U0BOT", "bot_id": "B0BOT", "app_id": "A0APP", "ts": ts}
        shown |= {key: message[key] for key in ("text", "blocks", "thread_ts") if message.get(key)}
        return {"ok": True, "channel": channel, "ts": ts, "message": shown}

    def update(self, message):
        channel = self.in_channel(message)
        self.check(message)
        ts = message.get("ts")
        with self.lock:
            if (channel, ts) not in self.messages:
                raise Refusal("message_not_found")
            self.messages[channel, ts] = message
        text = message.get("text", "")
        return {"ok": True, "channel": channel, "ts": ts, "text": text,
                "message": {"type": "message", "user": "U0BOT", "ts": ts, "text": text}}

    @staticmethod
    def auth_test(_message):
        return {"ok": True, "url": "https://test.slack.com/", "team": "Test", "user": "fanfare",
                "team_id": "T0TEST", "user_id": "U0BOT", "bot_id": "B0BOT"}

    def method(self, name):
        """The handler of a Web API method."""
        return {"chat.postMessage": self.post_message, "chat.update": self.update,
                "auth.test": self.auth_test}.get(name)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    slack = None  # set by main

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        time.sleep(self.slack.opts.delay)
        if self.path.startswith("/services/"):
            self.webhook(body)
        elif self.path.startswith("/api/"):
            self.web_api(urllib.parse.urlsplit(self.path).path.removeprefix("/api/"), body)
        else:
            self.answer(404, "text/html", b"not Slack")

    do_GET = do_POST

    def webhook(self, body):
        """Answers `ok`, or a word with a status, as text."""
        message, word, status = None, "ok", 200
        try:
            if self.path != f"/services/{self.slack.opts.hook}":
                raise Refusal("no_service")
            message = self.parsed(body, "invalid_payload")
            if error := self.slack.scripted():
                raise Refusal(error)
            self.slack.check(message)
        except Refusal as refusal:
            word = refusal.error
            status = int(word) if word.isdigit() else WEBHOOK_STATUS.get(word, 400)
        self.report("webhook", None, message, status, word)
        self.answer(status, "text/html", word.encode())

    def web_api(self, name, body):
        """Answers 200 and JSON whatever happened, except when rate limited or out of order."""
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ") or None
        message, status = None, 200
        try:
            handler = self.slack.method(name)
            if handler is None:
                raise Refusal("unknown_method")
            if token is None:
                raise Refusal("not_authed")
            if token != self.slack.opts.token:
                raise Refusal("invalid_auth")
            message = self.parsed(body, "invalid_json")
            if error := self.slack.scripted():
                raise Refusal(error)
            answer = handler(message)
        except Refusal as refusal:
            answer = {"ok": False, "error": refusal.error}
            if refusal.details:
                answer["errors"] = refusal.details
                answer["response_metadata"] = {"messages": [f"[ERROR] {d}" for d in refusal.details]}
            if refusal.error == "ratelimited":
                status = 429
            elif refusal.error.isdigit():
                status = int(refusal.error)
        self.report(name, token, message, status, answer)
        self.answer(status, "application/json; charset=utf-8", json.dumps(answer).encode())

    def parsed(self, body, error):
        """The message in the body: JSON, or a form as Slack's older clients send it."""
        kind = (self.headers.get("content-type") or "").split(";")[0].strip()
        try:
            if kind == "application/json":
                message = json.loads(body or b"{}")
            else:
                form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
                message = json.loads(form["payload"]) if "payload" in form else form
                if isinstance(message.get("blocks"), str):
                    message["blocks"] = json.loads(message["blocks"])
        except (ValueError, AttributeError) as fault:
            raise Refusal(error) from fault
        if not isinstance(message, dict):
            raise Refusal(error)
        return message

    def report(self, method, token, message, status, answer):
        say({"method": method, "path": self.path, "token": token, "message": message,
             "faults": faults(message) if message else [], "status": status, "answer": answer})

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", str(self.slack.opts.retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The lines on standard output say it all."""


Handler.slack = Slack(options())
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
ready(server.server_address[1])
server.serve_forever()
