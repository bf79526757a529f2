"""Asks slack_sdk about a Slack message `{"text", "blocks"}`."""

from slack_blocks import faults
from wire import Refused, verdict


def judge(message):
    found = faults(message)
    if not message.get("text"):
        found.append("[/text] is missing: it is what notifications and screen readers show")
    if found:
        raise Refused("; ".join(found))
    return {"blocks": [block["type"] for block in message.get("blocks") or []]}


verdict(judge)
