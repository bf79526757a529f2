"""Sends a mail with Python's smtplib, for trying the SMTP peer with a client that is not ours.

Asked with {"port", "from", "to", "raw": base64, "ca": file (STARTTLS) or null, "login": [user,
password] or null}.
"""

import base64
import smtplib
import ssl

from wire import Refused, verdict


def judge(asked):
    try:
        # A name of our own: looking it up may take the resolver's time.
        with smtplib.SMTP("localhost", asked["port"], "client.example", timeout=20) as client:
            if asked.get("ca"):
                client.starttls(context=ssl.create_default_context(cafile=asked["ca"]))
            if asked.get("login"):
                client.login(*asked["login"])
            client.sendmail(asked["from"], asked["to"], base64.b64decode(asked["raw"]))
    except smtplib.SMTPResponseException as error:
        raise Refused(f"{error.smtp_code} {error.smtp_error.decode()}") from error
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise Refused(f"{code} {text.decode()}") from error
    return {}


verdict(judge)
