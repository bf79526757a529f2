"""A real SMTP server (aiosmtpd) that prints every mail it is given, parsed and raw.

A line is `{"mail_from", "rcpt_tos", "tls", "user", "headers", "subject", "text", "html",
"attachments", "raw", "answer"}`: `headers` is a list of [name, value as sent, unfolded], `raw` is
base64 of the bytes after dot-unstuffing, `text` and `html` have plain line ends, `answer` the reply code that was given.
"""

import argparse
import asyncio
import base64
import email
import email.policy
import os
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from wire import ready, say


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fail-first", nargs=2, type=int, metavar=("N", "CODE"), default=(0, 0),
                        help="answer the first N mails with CODE")
    parser.add_argument("--fail-at", choices=["mail", "rcpt", "data"], default="data",
                        help="the command that --fail-first answers so")
    parser.add_argument("--refuse", nargs=2, action="append", metavar=("ADDRESS", "CODE"), default=[],
                        help="answer RCPT TO of ADDRESS with CODE, always")
    parser.add_argument("--delay", type=float, default=0, help="seconds before the answer to DATA")
    parser.add_argument("--starttls", action="store_true", help="offer and demand STARTTLS")
    parser.add_argument("--tls", action="store_true", help="TLS from the first byte")
    parser.add_argument("--auth", nargs=2, metavar=("USER", "PASSWORD"), help="demand AUTH")
    return parser.parse_args()


class Handler:
    def __init__(self, opts):
        self.opts = opts
        self.failures_left = opts.fail_first[0]
        self.refused = {address.lower(): code for address, code in opts.refuse}

    def failure(self, command):
        """The scripted answer, if one is left for this command."""
        if self.opts.fail_at != command or self.failures_left == 0:
            return None
        self.failures_left -= 1
        code = self.opts.fail_first[1]
        return f"{code} {code // 100}.3.0 scripted failure"

    async def handle_MAIL(self, _server, _session, envelope, address, mail_options):
        if failure := self.failure("mail"):
            return failure
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, _server, _session, envelope, address, rcpt_options):
        if code := self.refused.get(address.lower()):
            return f"{code} {code[0]}.1.1 refused recipient"
        if failure := self.failure("rcpt"):
            return failure
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server, session, envelope):
        if self.opts.delay:
            await asyncio.sleep(self.opts.delay)
        answer = self.failure("data") or "250 2.0.0 Ok: queued as PEER1"
        say({
            "mail_from": envelope.mail_from,
            "rcpt_tos": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "user": session.auth_data if session.authenticated else None,
            **parsed(envelope.content),
            "answer": int(answer[:3]),
        })
        return answer


def parsed(raw):
    """The parts of a mail as a mail program would show them."""
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    as_sent = email.message_from_bytes(raw, policy=email.policy.compat32)

    def body(kind):
        part = mail.get_body(preferencelist=(kind,))
        return part.get_content().replace("\r\n", "\n") if part else None

    return {
        "headers": [[k, " ".join(str(v).split())] for k, v in as_sent.items()],
        "subject": mail["subject"] and str(mail["subject"]),
        "text": body("plain"),
        "html": body("html"),
        "attachments": [
            {
                "filename": part.get_filename(),
                "content_type": part.get_content_type(),
                "content": base64.b64encode(part.get_payload(decode=True) or b"").decode(),
            }
            for part in mail.iter_attachments()
        ],
        "defects": [str(defect) for part in mail.walk() for defect in part.defects],
        "raw": base64.b64encode(raw).decode(),
    }


def certificate():
    """A TLS context for localhost, and the file of the authority that vouches for it."""
    import trustme  # slow to load, and most servers here speak no TLS

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    path = os.path.abspath("ca.pem")
    authority.cert_pem.write_to_path(path)
    return context, path


def authenticator(user, password):
    def check(_server, _session, _envelope, _mechanism, data):
        right = isinstance(data, LoginPassword) and data == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=right, handled=False, auth_data=user if right else None)

    return check


async def main():
    opts = options()
    context, ca = certificate() if opts.tls or opts.starttls else (None, None)
    settings = {"enable_SMTPUTF8": True, "hostname": "peer.example", "ident": "test peer"}
    if opts.starttls:
        settings |= {"tls_context": context, "require_starttls": True}
    if opts.auth:
        settings |= {
            "authenticator": authenticator(*opts.auth),
            "auth_required": True,
            "auth_require_tls": opts.starttls,
        }
    handler = Handler(opts)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, **settings), "127.0.0.1", 0, ssl=context if opts.tls else None
    )
    ready(server.sockets[0].getsockname()[1], **({"ca": ca} if ca else {}))
    await server.serve_forever()


asyncio.run(main())
