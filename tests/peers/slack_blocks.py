"""Whether Slack would take a message's blocks: slack_sdk's models, and the limits they leave out.

Limits: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/reference/methods/chat.postMessage
"""

import logging

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block, BlockElement

MOST_BLOCKS = 50
MOST_TEXT = 40_000

# slack_sdk logs the keys that it does not know, and drops them; here they are compared instead.
logging.getLogger("slack_sdk").setLevel(logging.ERROR)


def faults(message):
    """Everything wrong with `{"text", "blocks"}`, each as `[json-pointer] what`."""
    found = []
    text, blocks = message.get("text"), message.get("blocks")
    if text is not None and (not isinstance(text, str) or len(text) > MOST_TEXT):
        found.append(f"[/text] must be text of at most {MOST_TEXT} characters")
    if blocks is None:
        return found
    if not isinstance(blocks, list):
        return [*found, "[/blocks] must be a list"]
    if len(blocks) > MOST_BLOCKS:
        found.append(f"[/blocks] no more than {MOST_BLOCKS} items allowed")
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    if len(ids) != len(set(ids)):
        found.append("[/blocks] block_id must be unique")
    for index, block in enumerate(blocks):
        found.extend(f"[/blocks/{index}{where}] {what}" for where, what in of_block(block))
    return found


def of_block(block):
    """(pointer, fault) of one block."""
    if not isinstance(block, dict):
        return [("", "must be an object")]
    try:
        parsed = Block.parse(block)
        if parsed is None:
            return [("/type", f"unsupported type: {block.get('type')}")]
        parsed.validate_json()
        kept = parsed.to_dict()  # validates what is nested, too
    except SlackObjectFormationError as error:
        return [("", str(error))]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        return [("", f"malformed: {error}")]
    return [*lost(block, kept, ""), *bad_text(block, ""), *misplaced(block)]


def misplaced(block):
    """What stands where its kind is not allowed; the models take it."""
    text = block.get("text")
    plain = block["type"] == "header"
    if text is not None and block["type"] in ("header", "section"):
        allowed = ("plain_text",) if plain else ("plain_text", "mrkdwn")
        if not isinstance(text, dict) or text.get("type") not in allowed:
            yield "/text", f"must be a text object of type {' or '.join(allowed)}"
    elements = block.get("elements")
    if block["type"] in ("actions", "context") and not elements:
        yield "/elements", "must have at least 1 item"
    if block["type"] == "context":
        for index, element in enumerate(elements or []):
            if element.get("type") not in ("mrkdwn", "plain_text", "image"):
                yield f"/elements/{index}", "must be a text object or an image"
    interactive = [(f"/elements/{index}", element) for index, element in enumerate(elements or [])]
    if block["type"] != "actions":
        interactive = [("/accessory", block["accessory"])] if "accessory" in block else []
    for where, element in interactive:
        if BlockElement.parse(element) is None:
            yield where, f"unsupported type: {element.get('type')}"
        elif element["type"] == "button" and element["text"].get("type") != "plain_text":
            yield f"{where}/text", "must be a text object of type plain_text"


def lost(given, kept, where):
    """What the models did not know, and so dropped: Slack refuses it as an additional property."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from lost(value, kept[key], f"{where}/{key}")
            elif value not in (None, [], {}):
                yield f"{where}/{key}", "invalid additional property"
    elif isinstance(given, list) and isinstance(kept, list):
        if len(given) != len(kept):
            yield where, "holds an element that is not allowed here"
        for index, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{where}/{index}")


def bad_text(value, where, most=3000):
    """Text objects must hold 1 to 3000 characters wherever they stand; a section's fields 2000."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from bad_text(item, f"{where}/{index}", most)
    elif isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            text = value.get("text")
            if not isinstance(text, str) or not 1 <= len(text) <= most:
                yield f"{where}/text", f"must be more than 0 and at most {most} characters"
        for key, item in value.items():
            if key != "text" or isinstance(item, dict):
                yield from bad_text(item, f"{where}/{key}", 2000 if key == "fields" else 3000)
