"""A real Dovecot with as many mailboxes as a test wants, each with the same password."""

import mailbox
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bin/lib"))
import mailboxes  # noqa: E402 - the set-up's own modules
import testing  # noqa: E402

PASSWORD = mailboxes.PASSWORD


@dataclass
class Dovecot:
    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"imap://127.0.0.1:{self.port}/INBOX"

    def deliver(self, address: str, message: EmailMessage | bytes) -> None:
        """As a mail server's last step does: in one rename."""
        content = message if isinstance(message, bytes) else message.as_bytes()
        mailbox.Maildir(self.home / "boxes" / address, create=True).add(content)

    def messages(self, address: str, folder: str = "") -> list[bytes]:
        """What lies in a folder; the inbox without one."""
        path = self.home / "boxes" / address / (f".{folder}" if folder else "")
        return [file.read_bytes() for part in ("new", "cur") for file in sorted((path / part).glob("*"))]


def free_port() -> int:
    return testing.free_ports(1)[0]


#: In 2.3 a passdb of its own, in 2.4 the mechanisms' own settings.
OAUTH_OLD = """\
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf
}}
"""
OAUTH_NEW = """\
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
oauth2 {{
{settings}
}}
"""
SETTINGS = """\
introspection_url = {url}
introspection_mode = post
username_attribute = username
active_attribute = active
active_value = true
"""


def _take_tokens(home: Path, file: Path, url: str, mechanisms: str) -> None:
    """Dovecot asks the token server about each token (RFC 7662)."""
    settings = SETTINGS.format(url=url)
    if mailboxes.version() >= (2, 4):
        file.write_text(file.read_text() + OAUTH_NEW.format(mechanisms=mechanisms, settings=settings))
        return
    (home / "oauth2.conf").write_text(settings)
    file.write_text(file.read_text() + OAUTH_OLD.format(home=home, mechanisms=mechanisms))


@contextmanager
def running_dovecot(
    home: Path, *, port: int | None = None, introspection: str = "", mechanisms: str = "plain xoauth2 oauthbearer"
) -> Iterator[Dovecot]:
    server = Dovecot(home, port or free_port())
    file = mailboxes.write_configuration(home, port=server.port)
    if introspection:
        _take_tokens(home, file, introspection, mechanisms)
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *mailboxes.command(file)], stdout=log, stderr=log
        )
    try:
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)


def _wait(server: Dovecot, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 100
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1) as probe:
            if probe.recv(20).startswith(b"* OK"):
                return
        time.sleep(0.05)
    raise AssertionError(f"Dovecot did not start:\n{(server.home / 'log').read_text()[-2000:]}")
