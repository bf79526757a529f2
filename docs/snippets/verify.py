import base64
import hashlib
import hmac
import time

TOLERANCE_S = 300


def verify(secret, headers, body):
    """Is this request from Fanfare? `headers` has lower-case names, `body` is the raw bytes."""
    try:
        event_id = headers["webhook-id"]
        timestamp = headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split()
        if abs(time.time() - int(timestamp)) > TOLERANCE_S:
            return False
    except (KeyError, ValueError):
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # There are several signatures while a secret is being replaced.
    return any(hmac.compare_digest(expected, given.encode()) for given in signatures)


def verify_body(secret, header, body):
    """The same for `X-Webhook-Signature`, which does not protect against replays."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = [signature.strip() for signature in header.split(",")]
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given)
