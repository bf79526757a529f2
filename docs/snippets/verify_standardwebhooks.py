from standardwebhooks import Webhook, WebhookVerificationError


def verify(secret, headers, body):
    """Is this request from Fanfare? `headers` has lower-case names, `body` is the raw bytes."""
    try:
        Webhook(secret).verify(body, headers)
        return True
    except (WebhookVerificationError, ValueError):
        return False
