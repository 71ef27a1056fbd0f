"""A real mail server (aiosmtpd) for tests: keeps what it takes, and refuses what it is told to.

usage: smtp_sink.py FOLDER PORT STARTTLS_CERT STARTTLS_KEY USER PASSWORD   (an empty cert, or user, for none)

Each mail becomes FOLDER/NNNN.json, written whole before the server says yes, as Python's own parser reads it.
FOLDER/answers may hold one line for each mail to come, such as `451 later`; an empty line takes the mail.
"""

import email
import email.policy
import json
import os
import pathlib
import socket
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

folder, port, cert, key, user, password = sys.argv[1:7]
folder = pathlib.Path(folder)
port = int(port)
if port == 0:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]


class Handler:
    """Keeps mails."""

    count = len(list(folder.glob("*.json")))

    async def handle_DATA(self, server, session, envelope):
        answers = folder / "answers"
        if answers.exists():
            lines = answers.read_text().split("\n")
            answers.write_text("\n".join(lines[1:]))
            if lines[0].strip():
                return lines[0].strip()
        Handler.count += 1
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        kept = {
            "tls": bool(session.ssl),
            "user": getattr(session, "sink_user", ""),
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
        }
        part = folder / f"{Handler.count:04}.part"
        part.write_text(json.dumps(kept))
        os.replace(part, part.with_suffix(".json"))
        print("kept", flush=True)
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (user, password)
    session.sink_user = user if right else ""
    # None lets the server say 535 itself.
    return AuthResult(success=right, handled=False)


class Sink(Controller):
    """The server with our settings."""

    def factory(self):
        context = None
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
        return SMTP(
            self.handler,
            hostname="sink.example",
            tls_context=context,
            require_starttls=bool(cert),
            authenticator=authenticate if user else None,
            auth_required=bool(user),
            auth_require_tls=bool(cert),
            enable_SMTPUTF8=True,
        )


sink = Sink(Handler(), hostname="127.0.0.1", port=port, server_hostname="sink.example")
sink.start()
print(port, flush=True)
# Ends with whoever started it.
sys.stdin.read()
sink.stop()
