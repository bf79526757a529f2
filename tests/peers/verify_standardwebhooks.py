"""Asks the PyPI package `standardwebhooks` about {"secret", "headers", "body" | "body_base64"}."""

import base64

from standardwebhooks import Webhook, WebhookVerificationError

from wire import Refused, verdict


def judge(asked):
    body = asked["body"] if "body" in asked else base64.b64decode(asked["body_base64"])
    try:
        Webhook(asked["secret"]).verify(body, asked["headers"], json_parse=False)
    except WebhookVerificationError as error:
        raise Refused(str(error)) from error
    return {}


verdict(judge)
