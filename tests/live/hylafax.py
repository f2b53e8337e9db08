"""Fax machines that are not ours: HylaFAX with iaxmodem, joined to the Asterisk of the instance under test over IAX2.

One HylaFAX with several modems, each of them a machine of its own at the far end. iaxmodem speaks G.711 and no T.38.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import shell  # the set-up's own module, found by tests.live.lines

from tenants.db import utc_now
from tests.live.instance import Instance
from tests.live.lines import ASTERISK_ROOT, ROOT, asterisk, testing, wait_until

INSTALLED = ROOT / ".tools/hylafax"
#: The later win: what Debian has in sbin of the same name is a script for an installed HylaFAX.
PROGRAMS = ("usr/sbin/*", "usr/bin/*", "usr/lib/hylafax/lib*", "usr/lib/hylafax/bin/*")
OWNER = "uucp"  # compiled into HylaFAX and iaxmodem
SPOOL_FOLDERS = (
    *("archive", "client", "config", "dev", "docq", "doneq", "etc", "info", "locks", "log", "pollq", "recvq"),
    *("sendq", "status", "tmp"),
)
#: What HylaFAX's scripts are told by faxsetup. They and what faxq starts run with a real user that is not the effective
#: one: there the loader forgets LD_LIBRARY_PATH, so each sets it anew.
SETUP_CACHE = """SED=sed
GREP=grep
CAT=cat
CP=cp
TIFFBIN=/usr/bin
GSRIP=gs
SBIN={programs}
export LD_LIBRARY_PATH={programs}
"""
FAXSEND = """#!/bin/sh
export LD_LIBRARY_PATH={programs}
exec {programs}/faxsend "$@"
"""
SERVER_SETTINGS = """NotifyCmd: /usr/bin/true
WedgedCmd: /usr/bin/true
PDF2FaxCmd: bin/pdf2fax.gs
SendFaxCmd: {programs}/send
UUCPLockDir: {spool}/locks
ServerTracing: 0x001
"""
MODEM_SETTINGS = """FaxRcvdCmd: /usr/bin/true
WedgedCmd: /usr/bin/true
UUCPLockDir: {spool}/locks
RingsBeforeAnswer: 1
RecvFileMode: 0644
LogFileMode: 0644
SessionTracing: 0x00FFF
ModemResetDelay: 100
ModemSoftResetCmdDelay: 100
PollModemWait: 1
PollLockWait: 1
LocalIdentifier: "{station_id}"
"""
IAXMODEM_SETTINGS = """device {device}
owner uucp:uucp
mode 660
port {port}
refresh 0
server 127.0.0.1:{server_port}
peername {name}
secret {secret}
cidname {name}
cidnumber {number}
codec alaw
"""
IAX_SETTINGS = """[general]
bindport = {port}
bindaddr = 127.0.0.1
calltokenoptional = 127.0.0.1/255.255.255.255
jitterbuffer = no
disallow = all
allow = alaw
"""
IAX_PEER = """[{name}]
type = friend
username = {name}
secret = {secret}
host = 127.0.0.1
port = {port}
context = hylafax
requirecalltoken = no
transfer = no
"""
#: What a machine dials goes to the trunk like any call from outside.
DIALPLAN = """[hylafax]
exten => _[0-9+].,1,Dial(PJSIP/${EXTEN}@main-voice+,60)

[faxroom-in](+)
"""
#: iaxmodem refuses calls while it has one and for five seconds after it was told to hang up, if only to begin with: to
#: Asterisk that is cause 21, a call rejected. The telephone system before it lets the caller wait instead.
NUMBER = """exten => {number},1,Ringing()
exten => {number},2,Dial(IAX2/{name}/{number},60)
exten => {number},3,Wait(0.5)
exten => {number},4,Goto(2)
"""


@dataclass
class Machine:
    """One modem: the number at which the loop reaches it, and lines of HylaFAX's configuration of it."""

    name: str
    number: str
    station_id: str
    settings: str = ""
    #: Files of HylaFAX's folder ``etc``: name → text.
    files: tuple[tuple[str, str], ...] = ()
    port: int = 0
    device: Path = Path()

    @property
    def modem(self) -> str:
        """HylaFAX's name of it: the path of its device."""
        return str(self.device).replace("/", "_")


@dataclass(frozen=True)
class Call:
    """One call in HylaFAX's own log: ``reason`` is its own word on what went wrong, or empty."""

    station_id: str
    pages: int
    reason: str
    caller: str


class HylaFax:
    """All machines of a HylaFAX of its own, in a folder of its own below /tmp that other users may pass through.

    Neither that folder's nor a modem's name may hold an underscore: HylaFAX reads it as a slash.
    """

    def __init__(self, instance: Instance, machines: Sequence[Machine]) -> None:
        self.instance = instance
        self.machines = machines
        self.home = Path("/tmp", f"hylafax-{secrets.token_hex(4)}")
        self.spool = self.home / "spool"
        self.programs = self.home / "programs"
        self.port, free, *ports = testing.free_ports(2 + len(machines))
        self.server_port = _iax_port(instance) or free
        self.began = utc_now()
        self.secret = secrets.token_hex(8)
        for machine, port in zip(machines, ports, strict=True):
            machine.port, machine.device = port, self.home / machine.name
        self.environment = {"LD_LIBRARY_PATH": str(self.programs), "HOME": str(self.home), "FAXUSER": "tests"}
        self._keeper: subprocess.Popen[str] | None = None

    # ---- Its life

    def start(self) -> None:
        self._lay_out()
        python = [sys.executable, "-m", "tests.live.keeper"]
        self._keeper = subprocess.Popen(
            [*shell.sudo(), *python], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._keeper.stdin and self._keeper.stdout
        self._keeper.stdin.write(json.dumps(self._plan()) + "\n")
        self._keeper.stdin.flush()
        assert self._keeper.stdout.readline() == "started\n", self.told()
        wait_until(100, "HylaFAX is ready", self._ready)

    def stop(self) -> None:
        """End it; what it had to say is kept with the logs of the instance."""
        (self.instance.home / "log/hylafax.log").write_text(self.told())
        if self._keeper and self._keeper.stdin:
            self._keeper.stdin.close()  # the keeper ends everything
            self._keeper.wait(60)

    def __enter__(self) -> "HylaFax":
        try:
            self.start()
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._leave()
        finally:
            self.stop()

    def _join(self) -> None:
        """Make the machines known to the instance's Asterisk, which speaks no IAX2 otherwise."""
        peers = [IAX_PEER.format(name=machine.name, port=machine.port, secret=self.secret) for machine in self.machines]
        numbers = [NUMBER.format(name=machine.name, number=machine.number) for machine in self.machines]
        general = IAX_SETTINGS.format(port=self.server_port)
        _iax_configuration(self.instance).write_text(general + "".join(peers))
        self._extensions.write_text(DIALPLAN + "".join(numbers))
        for words in ("module load chan_iax2.so", "iax2 reload", "dialplan reload"):
            self._tell_asterisk(words)

    def _leave(self) -> None:
        """chan_iax2 stays loaded: to unload it while a call of its is up locks Asterisk."""
        self._extensions.unlink()
        self._tell_asterisk("dialplan reload")

    @property
    def _extensions(self) -> Path:
        return self.instance.home / "asterisk/etc/local/extensions-hylafax.conf"

    def _tell_asterisk(self, words: str) -> None:
        home = self.instance.home / "asterisk"
        command = [part for part in asterisk.command(ASTERISK_ROOT, home) if part != "-f"]
        subprocess.run([*command, "-rx", words], check=True, capture_output=True, timeout=100)

    def _lay_out(self) -> None:
        """The folders, as faxsetup and faxaddmodem would leave them."""
        for name in SPOOL_FOLDERS:
            (self.spool / name).mkdir(parents=True)
        shutil.copytree(INSTALLED / "var/spool/hylafax/bin", self.spool / "bin")
        self.programs.mkdir()
        for pattern in PROGRAMS:
            for program in INSTALLED.glob(pattern):
                shutil.copy2(program, self.programs / program.name)
        values = {"programs": self.programs, "spool": self.spool}
        (self.programs / "send").write_text(FAXSEND.format(**values))
        (self.programs / "send").chmod(0o755)
        etc = {
            "setup.cache": SETUP_CACHE.format(**values),
            "config": SERVER_SETTINGS.format(**values),
            "hosts.hfaxd": "127.0.0.1\nlocalhost\n",
        }
        known = (INSTALLED / "var/spool/hylafax/config/iaxmodem").read_text()
        for machine in self.machines:
            settings = MODEM_SETTINGS.format(station_id=machine.station_id, **values)
            etc[f"config.{machine.modem}"] = known + settings + machine.settings
            etc |= dict(machine.files)
            (self.home / f"{machine.name}.conf").write_text(
                IAXMODEM_SETTINGS.format(**vars(machine), server_port=self.server_port, secret=self.secret)
            )
        for name, text in etc.items():
            (self.spool / "etc" / name).write_text(text)
        (self.spool / "etc/hosts.hfaxd").chmod(0o600)
        log = self.spool / "log/xferfaxlog"  # who sends and who receives write to it under different names
        log.touch()
        log.chmod(0o666)
        shutil.copy2(INSTALLED / "etc/hylafax/typerules", self.home / "typerules")
        (self.home / ".hylarc").write_text(f"TypeRules: {self.home}/typerules\n")

    def _plan(self) -> dict[str, object]:
        queue = ["-q", str(self.spool)]
        return {
            "home": str(self.home),
            "owner": OWNER,
            "environment": self.environment,
            "modems": [
                [self._program("iaxmodem"), f"../..{self.home}/{machine.name}.conf"] for machine in self.machines
            ],
            "devices": [str(machine.device) for machine in self.machines],
            "servers": [
                [self._program("faxq"), "-D", *queue],
                [self._program("hfaxd"), "-d", *queue, "-l", "127.0.0.1", "-i", str(self.port)],
                *([self._program("faxgetty"), *queue, str(machine.device)] for machine in self.machines),
            ],
        }

    def _program(self, name: str) -> str:
        return str(self.programs / name)

    def _ready(self) -> bool:
        assert self._keeper and self._keeper.poll() is None, self.told()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return all(map(self._is_idle, self.machines))
        return False

    def _is_idle(self, machine: Machine) -> bool:
        file = self.spool / "status" / machine.modem
        return file.exists() and "idle" in file.read_text()

    # ---- Its use

    def send(self, machine: Machine, number: str, document: Path) -> str:
        """``sendfax``, as a person at that machine would; the number of the job. One try, with no cover."""
        at = f"{machine.modem}@127.0.0.1:{self.port}"
        command = [self._program("sendfax"), "-n", "-h", at, "-t", "1", "-T", "1", "-m", "-d", number, str(document)]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        found = re.search(r"request id is (\d+)", done.stdout)
        assert found, f"{done.stdout}{done.stderr}\n{self.told()}"
        return found[1]

    def received(self, machine: Machine) -> list[Path]:
        """TIFFs of the calls that it took, in their order."""
        return [self.spool / line[4] for line in self._log() if (line[1], line[3]) == ("RECV", machine.modem)]

    def calls(self, machine: Machine, what: str, count: int = 1, *, seconds: float = 120) -> list[Call]:
        """Its finished calls, when there are ``count``: ``what`` is RECV or SEND. It writes them down after it has
        hung up.
        """
        wait_until(seconds, f"{what} of {machine.name}", lambda: len(self._finished(machine, what)) >= count)
        return self._finished(machine, what)

    def _finished(self, machine: Machine, what: str) -> list[Call]:
        return [
            Call(
                station_id=line[8].strip('"'),
                pages=int(line[10]),
                reason=line[13].strip('"'),
                caller=line[15].strip('"'),
            )
            for line in self._log()
            if (line[1], line[3]) == (what, machine.modem)
        ]

    def _log(self) -> list[list[str]]:
        file = self.spool / "log/xferfaxlog"
        return [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []

    def told(self) -> str:
        """What it has to say when something went wrong."""
        files = [self.home / "output", *sorted((self.spool / "log").glob("c*"))]
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')}" for file in files if file.exists())


def _iax_configuration(instance: Instance) -> Path:
    return instance.home / "asterisk/etc/iax.conf"


def _iax_port(instance: Instance) -> int | None:
    """The port of an earlier session of tests with the same instance: Asterisk keeps it."""
    file = _iax_configuration(instance)
    found = re.search(r"^bindport = (\d+)$", file.read_text(), re.MULTILINE) if file.exists() else None
    return int(found[1]) if found else None
