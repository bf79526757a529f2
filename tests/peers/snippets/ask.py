"""Asks a Python snippet of docs/snippets, named by the first argument.

Every driver in this folder reads one request per line from standard input: the secret, `webhook-id`,
`webhook-timestamp`, `webhook-signature`, `X-Webhook-Signature` and the body in base64, separated by
tabs; an empty header is absent. It prints one line per request: whether the snippet accepts the
Standard Webhooks signature, and whether it accepts the other one (`none` if it cannot tell).
"""

import base64
import importlib.util
import sys

NAMES = ["webhook-id", "webhook-timestamp", "webhook-signature"]

spec = importlib.util.spec_from_file_location("snippet", sys.argv[1])
snippet = importlib.util.module_from_spec(spec)
spec.loader.exec_module(snippet)

for line in sys.stdin:
    secret, *values, body_signature, body = line.rstrip("\n").split("\t")
    headers = {name: value for name, value in zip(NAMES, values) if value}
    body = base64.b64decode(body)
    answers = [snippet.verify(secret, headers, body)]
    if hasattr(snippet, "verify_body"):
        answers.append(snippet.verify_body(secret, body_signature, body))
    else:
        answers.append(None)
    print(*(str(answer).lower() for answer in answers))
