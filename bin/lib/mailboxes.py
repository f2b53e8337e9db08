"""A mail server for trying out: Dovecot shows every mailbox, and whatever is handed in over SMTP lands in one.

Any address is a mailbox with the demo's password. Nothing but this machine reaches it. Also what the tests collect
from.
"""

import grp
import os
import pwd
import re
import shlex
import subprocess
from pathlib import Path

PASSWORD = "faxroom-demo"
DOVECOT = Path("/usr/sbin/dovecot")
#: Dovecot's words differ between 2.3 (Debian 12) and 2.4 (Debian 13).
COMMON = """\
base_dir = {run}
state_dir = {run}
protocols = imap
listen = 127.0.0.1
log_path = /dev/stderr
ssl = no
auth_mechanisms = plain login
first_valid_uid = 0
first_valid_gid = 0
mail_max_userip_connections = 200
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""
OLD = """\
service imap-login {{
  service_count = 0
}}
disable_plaintext_auth = no
mail_location = maildir:{boxes}/%u
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={boxes}/%u allow_all_users=yes
}}
"""
NEW = """\
service imap-login {{
  restart_request_count = unlimited
}}
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {boxes}/%{{user}}
passdb static {{
  password = {password}
}}
userdb static {{
  fields {{
    uid = {user}
    gid = {group}
    home = {boxes}/%{{user}}
  }}
  allow_all_users = yes
}}
"""
_SAFE = re.compile(r"[a-z0-9][a-z0-9@._+-]{0,100}")


def mailbox_of(boxes: Path, address: str) -> Path | None:
    """The maildir of an address; None for one that would be no folder's name."""
    name = address.lower()
    return boxes / name if _SAFE.fullmatch(name) else None


def version() -> tuple[int, int]:
    """Major and minor, as in ``2.3.19.1 (9b53102964)``."""
    text = subprocess.run([DOVECOT, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor, *_ = re.split(r"\D", text, maxsplit=2)
    return int(major), int(minor)


def write_configuration(home: Path, *, port: int, account: str = "") -> Path:
    """``home/dovecot.conf``; the mailboxes lie in ``home/boxes``, sockets in ``home/run``. ``account``: who will run it
    if it is not we."""
    boxes, run = home / "boxes", home / "run"
    boxes.mkdir(parents=True, exist_ok=True)
    user = pwd.getpwnam(account) if account else _user()
    values = {"boxes": boxes, "run": run, "port": port, "password": PASSWORD, "user": user.pw_name}
    values["group"] = grp.getgrgid(user.pw_gid).gr_name
    new = version() >= (2, 4)
    head = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" if new else ""
    file = home / "dovecot.conf"
    file.write_text(head + COMMON.format(**values) + (NEW if new else OLD).format(**values))
    return file


def _user() -> pwd.struct_passwd:
    """Who Dovecot is told that it runs as: it refuses to be root."""
    return pwd.getpwuid(os.geteuid()) if os.geteuid() else pwd.getpwnam("dovecot")


def command(file: Path, *, account: str = "") -> tuple[str, ...]:
    """Root goes by another name in a namespace of its own (user_namespaces(7)): files stay where and whose they are.
    Sockets that a killed one left would keep the next from starting."""
    user = _user()
    renamed = ("unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--")
    words = (*(() if account or os.geteuid() else renamed), str(DOVECOT), "-F", "-c", str(file))
    return ("/bin/sh", "-c", f"rm -rf {shlex.quote(str(file.parent / 'run'))} && exec {shlex.join(words)}")
