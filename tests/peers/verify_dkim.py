"""Asks dkimpy about {"raw": base64 of a mail, "dns": {"selector._domainkey.domain": "v=DKIM1; …"}}.

Every signature of the mail must be valid; prints what each one covers.
"""

import base64

import dkim

from wire import Refused, verdict


def judge(asked):
    raw = base64.b64decode(asked["raw"])
    zone = {name.rstrip(".").lower(): text for name, text in asked["dns"].items()}

    def lookup(name, timeout=5):
        text = zone.get(name.decode().rstrip(".").lower())
        return text.encode() if text is not None else None

    mail = dkim.DKIM(raw)
    count = sum(1 for name, _ in mail.headers if name.lower() == b"dkim-signature")
    if count == 0:
        raise Refused("no DKIM-Signature")
    return {"signatures": [one(raw, index, lookup) for index in range(count)]}


def one(raw, index, lookup):
    mail = dkim.DKIM(raw)
    try:
        valid = mail.verify(idx=index, dnsfunc=lookup)
    except dkim.DKIMException as error:
        raise Refused(f"signature {index}: {error}") from error
    if not valid:
        raise Refused(f"signature {index}: does not match")
    fields = {key.decode(): value.decode() for key, value in mail.signature_fields.items()}
    return {
        "domain": fields["d"],
        "selector": fields["s"],
        "algorithm": fields["a"],
        "canonicalization": fields.get("c", "simple/simple"),
        "headers": [name.strip().lower() for name in fields["h"].split(":")],
    }


verdict(judge)
