"""The processes of one instance under supervisord: what they are, its configuration, asking it.

Each ends with its parent, however that ends (setpriv's --pdeathsig, prctl(2)): a kill -9 of bin/up or of supervisord
leaves nothing running.
"""

import http.client
import os
import shlex
import socket
import time
import xmlrpc.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import accounts
import mailboxes
import packages
from instance import Instance, office_sockets, secret
from shell import SetupError

import asterisk
import front

#: Sound is 50 packets a second each way, and a late one spoils a fax over G.711: whoever draws pages can wait. Without
#: the right to it nice only says so.
AHEAD = ("/usr/bin/nice", "-n", "-15")
#: Those below are root's.
FIRST_FREE_PORT = 1024
TETHER = ("setpriv", "--pdeathsig", "TERM", "--")


@dataclass(frozen=True)
class Program:
    """One line of the table.

    ``ours``: runs our code, so it waits for the database. ``stop_seconds``: until SIGKILL. ``whole_group``: SIGTERM
    goes to the children too; a worker's job is let finish instead. ``watched``: says that it gets on
    (FAXROOM_NOTIFY_SOCKET: who knows sd_notify's own name might wait for a watchdog that stands still). ``umask``: of
    what it makes.
    """

    name: str
    command: tuple[str, ...]
    ours: bool = False
    stop_seconds: int = 5
    count: int = 1
    whole_group: bool = True
    watched: bool = False
    umask: int = 0o077


def programs(instance: Instance, ports: Mapping[str, int]) -> list[Program]:
    """Those whose work others need come first; they are stopped in the opposite order."""
    python = str(instance.root / ".tools/venv/bin/python")
    table = [Program("watchdog", _watchdog(instance, python))]
    portal = accounts.become(instance.portal_account) if instance.separate else ()
    if instance.own_redis:
        server = packages.redis_server(instance.root / ".tools")
        table.append(Program("redis", (*portal, str(server), str(instance.home / "redis.conf"))))
    if instance.own_mail:
        table += _mail(instance, ports, portal, python)
    if instance.own_office:
        table += _office(instance, python)
    return table + _ours(instance, portal, python)


def kept_programs(instance: Instance) -> list[Program]:
    """No lines of the table: bin/up runs them itself (:mod:`keeping`). Asterisk completes a call without us."""
    apart = _apart(instance, accounts.FRONT, instance.port)
    table = [Program("front", (*apart, *front.command(instance.front)))]  # says that the database is prepared
    if instance.own_asterisk:
        command = asterisk.command(_asterisk_root(instance), instance.asterisk)
        apart = _apart(instance, accounts.ASTERISK, instance.sip_port)
        table.append(Program("asterisk", (*AHEAD, *apart, *command), umask=0o027))
    return table


def _watchdog(instance: Instance, python: str) -> tuple[str, ...]:
    """A Redis that stands still is waited for by all; nothing is lost with it. Of an Asterisk that has stood still for
    half a minute no call has lived on: the far ends have given up (T.30), or hear nothing (rtp_timeout)."""
    command = [python, str(instance.root / "bin/lib/watchdog.py"), "--notify", str(_notify_socket(instance))]
    command += ["--answer", str(_watchdog_socket(instance))]
    command += ["--ask", "15", str(front.alive_socket(instance.front)), "GET /"]
    if instance.own_redis:
        command += ["--ask", "15", str(_redis_socket(instance)), "PING"]
    if instance.own_asterisk:
        command += ["--ask", "30", str(asterisk.control_socket(instance.asterisk)), ""]
    return tuple(command)


def _notify_socket(instance: Instance) -> Path:
    return instance.run / "notify.sock"


def _watchdog_socket(instance: Instance) -> Path:
    return instance.run / "watchdog.sock"


def _supervisor_socket(instance: Instance) -> Path:
    return instance.run / "supervisor.sock"


def guards(instance: Instance) -> list[tuple[str, bytes, int]]:
    """Those who look after all others and are looked after by bin/up: socket, what is asked there, seconds of
    patience."""
    return [
        (str(_supervisor_socket(instance)), b"GET /alive HTTP/1.0\r\n\r\n", 15),
        (str(_watchdog_socket(instance)), b"\n", 15),
    ]


def _redis_socket(instance: Instance) -> Path:
    return instance.redis / "redis.sock"


def _ours(instance: Instance, portal: tuple[str, ...], python: str) -> list[Program]:
    worker = (*portal, python, str(instance.root / "worker.py"))
    gentle = partial(Program, ours=True, stop_seconds=8, whole_group=False, watched=True)
    # One for each kind of job and each office: what waits for one thing holds up nothing else.
    table = [gentle("jobs", (*worker, "jobs", "--documents", str(instance.jobs)))]
    table.append(Program("line", (*worker, "line"), ours=True, watched=True))
    table.append(Program("clock", (*worker, "clock"), ours=True, watched=True))
    table.append(gentle("collect", (*worker, "collect")))
    for name, ports in (
        ("door", [port for _name, port in instance.door_ports]),
        ("entrance", [instance.entrance_port]),
    ):
        if any(ports):
            low = any(0 < port < FIRST_FREE_PORT for port in ports)
            own = accounts.become(instance.portal_account, low_port=low) if instance.separate else ()
            table.append(gentle(name, (*own, python, str(instance.root / "worker.py"), name)))
    table.append(Program("web", (*portal, *front.web_command(python, instance.web)), ours=True, watched=True))
    return table


def _mail(instance: Instance, ports: Mapping[str, int], portal: tuple[str, ...], python: str) -> list[Program]:
    """What is handed in is kept; with mailboxes it lies in those of its recipients too."""
    listen = f"127.0.0.1:{instance.smtp_port or ports['mail']}"
    receive, kept = (*portal, python, "-m", "aiosmtpd", "-n", "-l", listen, "-c"), str(instance.home / "mail")
    if not instance.own_mailboxes:
        return [Program("mail", (*receive, "aiosmtpd.handlers.Mailbox", kept))]
    home, library = instance.home / "mailboxes", f"PYTHONPATH={instance.root / 'bin/lib'}"
    return [
        Program("mail", ("/usr/bin/env", library, *receive, "mail_catcher.Mailboxes", kept, str(home / "boxes"))),
        Program("mailboxes", (*portal, *mailboxes.command(home / "dovecot.conf", account=instance.portal_account))),
    ]


def _apart(instance: Instance, account: str, port: int) -> tuple[str, ...]:
    """Before a command that listens to strangers: none of our settings, and an account of its own where root starts."""
    become = accounts.become(account, low_port=port < FIRST_FREE_PORT) if instance.separate else ()
    told = {"FAXROOM_HOME": instance.home, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    told |= {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    return (*become, "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in told.items()))


def _asterisk_root(instance: Instance) -> Path:
    return instance.root / ".tools/asterisk"


def _office(instance: Instance, python: str) -> list[Program]:
    """Two, so that a large document does not hold up the others."""
    return [
        Program(name, (python, "-m", "app.adapters.offices.office_server", "--socket", str(path)))
        for name, path in office_sockets(instance).items()
    ]


# ---- Configuration


def write_configuration(instance: Instance, table: list[Program]) -> Path:
    """``HOME/supervisord.conf``. No secret is in it: programs get their settings by the environment."""
    home = instance.home
    parts = [
        f"""[unix_http_server]
file={_supervisor_socket(instance)}
chmod=0700

[supervisord]
nodaemon=true
silent=true
logfile={instance.log}/supervisord.log
logfile_maxbytes=10MB
pidfile={instance.run}/supervisord.pid
childlogdir={instance.log}
umask=077
minfds=4096

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{_supervisor_socket(instance)}
"""
    ]
    parts += [_section(instance, program, priority) for priority, program in enumerate(table, start=1)]
    file = home / "supervisord.conf"
    file.write_text("\n".join(parts))
    return file


def _section(instance: Instance, program: Program, priority: int) -> str:
    command = shlex.join((*TETHER, *program.command)).replace("%", "%%")
    several = f"numprocs={program.count}\nprocess_name=%(program_name)s-%(process_num)s\n" if program.count > 1 else ""
    notified = str(_notify_socket(instance)).replace("%", "%%")
    told = f'environment=FAXROOM_NOTIFY_SOCKET="{notified}"\n' if program.watched else ""
    suffix = "-%(process_num)s" if program.count > 1 else ""
    return f"""[program:{program.name}]
command={command}
directory={str(instance.root).replace("%", "%%")}
{several}{told}priority={priority}
autostart={str(not program.ours).lower()}
autorestart=true
umask={program.umask:03o}
startsecs=1
startretries=1000
stopwaitsecs={program.stop_seconds}
stopasgroup={str(program.whole_group).lower()}
killasgroup=true
redirect_stderr=true
stdout_logfile={instance.log}/{program.name}{suffix}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=5
"""


def write_redis_configuration(instance: Instance, ports: Mapping[str, int]) -> None:
    """Nothing is kept on disk: the database is the truth, and the clock enqueues again what Redis forgot."""
    file = instance.home / "redis.conf"
    file.touch(mode=0o600)
    file.write_text(
        f"bind 127.0.0.1\nport {ports['redis']}\nunixsocket {_redis_socket(instance)}\nunixsocketperm 700\n"
        f"requirepass {secret(instance, 'REDIS_PASSWORD')}\n"
        f'save ""\nappendonly no\nmaxmemory-policy noeviction\ndir {instance.redis}\ndaemonize no\nlogfile ""\n'
    )


# ---- Asking supervisord


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        del host
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(5)
        connection.sock.connect(str(self.path))
        return connection


def _supervisor(instance: Instance) -> xmlrpc.client.ServerProxy:
    transport = _UnixTransport(_supervisor_socket(instance))
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport)


UNANSWERED = (OSError, http.client.HTTPException, xmlrpc.client.Error)


def beginnings(instance: Instance) -> dict[str, int]:
    """Process → when it was last started (seconds, 0: never); empty while supervisord does not answer."""
    try:
        # ServerProxy's own types allow for all that XML-RPC can carry; supervisord answers with a list of structs.
        answer: Any = _supervisor(instance).supervisor.getAllProcessInfo()
    except UNANSWERED:
        return {}
    return {process["name"]: process["start"] for process in answer}


def start_ours(
    instance: Instance, table: list[Program], *, has_ended: Callable[[], bool] = lambda: False, seconds: float = 60
) -> None:
    """Start the programs that waited for the database; supervisord itself may still be starting, or have ended."""
    waiting = [program.name for program in table if program.ours]
    deadline = time.monotonic() + seconds
    while waiting:
        try:
            _supervisor(instance).supervisor.startProcessGroup(waiting[0], False)
            waiting.pop(0)
        except UNANSWERED as error:
            if has_ended() or time.monotonic() > deadline:
                raise SetupError(
                    f"supervisord does not answer ({error}). See {instance.log}/supervisord.log"
                ) from error
            time.sleep(0.05)


class Patience:
    """Tells which processes end again and again: those that have been started more than ``starts`` times."""

    def __init__(self, starts: int) -> None:
        self.starts = starts
        self._seen: dict[str, set[int]] = {}

    def exhausted(self, begun: Mapping[str, int]) -> list[str]:
        for name, start in begun.items():
            self._seen.setdefault(name, set()).add(start)
        return [name for name, seen in self._seen.items() if len(seen - {0}) > self.starts]
