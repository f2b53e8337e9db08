"""bin/up: set up what is missing, run the whole of Faxroom, stop all of it at the end."""

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accounts
import environment
import installation
import instance as instances
import keeping
import mailboxes
import processes
import supervise
import watchdog
from instance import Instance
from shell import SetupError, Words, tail
from steps import Progress, StepFailed, complain

import asterisk
import front
from app.rules.sending.trunks.ports import MOST_FILES, ports_for, too_few

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo/faxroom.yaml"
#: A machine that has too much to do takes long. Who gives up ends what had nearly come up; who waits says for whom.
READY_SECONDS, TOLD_SECONDS = 600, 60
#: What a supervisord or bin/up that was killed has left behind has so long to end; then comes the next one.
ENDING_SECONDS = 5
#: So often it is noted which processes are ours; reading /proc takes 2 ms.
REMEMBER_SECONDS = 1
#: What has been started more often than this before all was ready does not stay up.
MOST_STARTS = 4
#: Files that each process may have open.
DESCRIPTORS = 4096
#: Parts of healthz that no start mends: the rest has to run, so that all goes on when there is room, or a carrier.
NOT_MENDED = ("room", "trunk")


def main() -> int:
    processes.take_charge()
    code, last = 0, contextlib.ExitStack()
    try:
        _run(last)
    except processes.Stopped as stop:
        print(f"\nStopping ({stop}).", flush=True)
    except StepFailed as failure:
        complain(f"Faxroom was not started. {failure}")
        code = 1
    finally:
        processes.ignore_stop_signals()
        last.close()
        processes.end_descendants(seconds=keeping.ENDING_SECONDS)
    sys.stdout.flush()
    os._exit(code)  # a thread of a failed set-up may still wait for its ended command


def _run(last: contextlib.ExitStack) -> None:
    """``last`` is left when all is to be ended."""
    progress = Progress()
    told: list[Instance] = []
    progress.step("settings", lambda say: told.append(_read_instance(say)))
    instance = told[0]
    if os.geteuid() == 0:
        progress.step("accounts", lambda say: told.append(_with_accounts(told[0], say)))
        instance = told[-1]
    progress.step("home", lambda say: instances.prepare_home(instance))
    with _only_one(instance):
        processes.end_remembered(_started(instance), seconds=ENDING_SECONDS)
        progress.step("ports", lambda say: instances.check_ports(instance))
        installation.install(ROOT, progress, with_asterisk=instance.own_asterisk, with_mailboxes=instance.own_mailboxes)
        os.umask(0o077)  # from here on: what was installed before may be used by others
        _take_descriptors()
        values, table = _configure(instance, progress)
        keeper = keeping.Keeper(supervise.kept_programs(instance), folder=ROOT, logs=instance.log)
        running = Supervised(instance, values, table, last.enter_context(keeper.keeping()))
        running.start()  # what needs no database starts beside it
        _ask_guards(instance)
        progress.step("database", lambda say: _prepare_database(instance, values, say))
        if instance.separate:
            accounts.give(instances.move_database(instance), accounts.PORTAL)
        running.start_ours()
        progress.step("start", lambda say: _wait_until_ready(running, say))
        _tell(instance, progress)
        try:
            while True:
                running.look()
                processes.reap()
                time.sleep(0.2)
        finally:
            (instance.run / "ready").unlink(missing_ok=True)


def _take_descriptors() -> None:
    """As supervisord does (minfds) for what it runs. Asterisk, which runs without us, gets as many as it can ever need
    at its start: root alone may raise what it may have at most, and a container's root may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if os.geteuid() == 0 and hard != resource.RLIM_INFINITY and hard < MOST_FILES:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, MOST_FILES))
            hard = MOST_FILES
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _files_of_asterisk() -> int:
    """What it asks for itself (maxfiles): no more than it is given."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)


def _read_instance(say: Any) -> Instance:
    instance = instances.read_instance(ROOT, os.environ)
    if defaults := instances.restored_defaults(instance.home, os.environ):
        say(f"from {instance.home / instances.RESTORED}: {', '.join(sorted(defaults))}")
        os.environ.update(defaults)
        instance = instances.read_instance(ROOT, os.environ)
    return instance


def _with_accounts(instance: Instance, say: Any) -> Instance:
    """As root: the portal, the front and Asterisk get accounts of their own, where these can reach what is theirs."""
    if reason := _why_root(instance):
        say(f"all runs as root: {reason}")
        return instance
    return dataclasses.replace(instance, separate=True)


def _why_root(instance: Instance) -> str | None:
    """Why all runs as root; None where it need not, and the accounts are there."""
    if reason := accounts.why_not((instance.home, ROOT)):
        return reason
    accounts.make()
    for path in filter(Path.exists, (ROOT / "wsgi.py", ROOT / "app/factory.py", ROOT / ".tools/venv/bin/python")):
        if not accounts.may(accounts.PORTAL, "-r", path):
            return f"{accounts.PORTAL} may not read {path}: let others read {ROOT}"
    for path, test in instances.places_elsewhere(instance, os.environ):
        if not accounts.may(accounts.PORTAL, test, path):
            word = "read" if test == "-r" else "write in"
            return f"{accounts.PORTAL} may not {word} {path}: give it to that account"
    return None


def _hand_over(instance: Instance) -> None:
    """At each start: a home may be older than its accounts, or come from a backup."""
    accounts.show(instance.front, accounts.FRONT)
    for name in front.WRITTEN:
        accounts.give(instance.front / name, accounts.FRONT)
    for name in (*instances.PORTAL_FOLDERS, *instances.MAIL_FOLDERS):
        (instance.home / name).mkdir(mode=0o700, exist_ok=True)
        accounts.give_once(instance.home / name, accounts.PORTAL)
    if instance.own_redis:
        accounts.give(instance.redis, accounts.PORTAL)
        accounts.show_file(instance.home / "redis.conf", accounts.PORTAL)
    if instance.own_asterisk:
        for name in asterisk.PASSED:
            accounts.let_pass(instance.asterisk / name)
        for name in asterisk.READ:
            accounts.show(instance.asterisk / name, accounts.ASTERISK)
        for name in asterisk.WRITTEN:
            accounts.give(instance.asterisk / name, accounts.ASTERISK)
        for name in asterisk.FOR_THE_PORTAL:
            accounts.hand(instance.asterisk / name, accounts.ASTERISK, to=accounts.PORTAL, may_remove=True)
        for name in asterisk.FROM_THE_PORTAL:
            accounts.hand(instance.asterisk / name, accounts.PORTAL, to=accounts.ASTERISK)


def _started(instance: Instance) -> Path:
    """All processes that run below us: whatever ends us, the next bin/up clears them away."""
    return instance.run / "started"


@contextlib.contextmanager
def _only_one(instance: Instance) -> Iterator[None]:
    with (instance.run / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StepFailed(
                "home",
                f"Faxroom runs from {instance.home} already (process {lock.read().strip()}). Stop that one, or start "
                "another one beside it with other FAXROOM_HOME, FAXROOM_PORT, FAXROOM_SIP_PORT and FAXROOM_ARI_PORT.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


# ---- Configuration and database


def _configure(instance: Instance, progress: Progress) -> tuple[dict[str, str], list[supervise.Program]]:
    ports = instances.private_ports(instance.home)
    values = instances.settings(instance, ports, os.environ)

    def configure(say: object) -> None:
        instances.write_environment(instance, values)
        instances.write_given(instance, os.environ)
        front.configure(instance.front, web=instance.web, listen=instance.listen, proxies=instance.proxies)
        if instance.own_redis:
            supervise.write_redis_configuration(instance, ports)
        if instance.own_mailboxes:
            home, port = instance.home / "mailboxes", instance.imap_port or 0
            mailboxes.write_configuration(home, port=port, account=instance.portal_account)
        if instance.own_asterisk:
            asterisk.render(
                ROOT / installation.ASTERISK,
                instance.asterisk,
                sip_port=instance.sip_port,
                ari_port=instance.ari_port,
                ari_user=values.get("ARI_USER", "faxroom"),
                ari_password=values.get("ARI_PASSWORD") or Path(values["ARI_PASSWORD_FILE"]).read_text().strip(),
                trunk=instance.trunk,
                incoming=instance.incoming,
                ports=ports_for(instance.line_limit, sip_port=instance.sip_port, given=instance.media_ports),
                files=_files_of_asterisk(),
            )
        supervise.write_configuration(instance, table)
        if instance.separate:
            _hand_over(instance)

    table = supervise.programs(instance, ports)
    progress.step("configure", configure)
    return values, table


def _environment(values: dict[str, str]) -> dict[str, str]:
    """Whoever started us watches us alone."""
    kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return {**kept, **values}


def _prepare_database(instance: Instance, values: dict[str, str], say: Any) -> None:
    file = instance.provision or DEMO
    python, work = ROOT / ".tools/venv/bin/python", ROOT / "bin/lib/database.py"
    command = [*supervise.TETHER, str(python), str(work), str(file)]
    if file == DEMO and instance.own_mailboxes:
        command.append(str(instance.imap_port))
    log = instance.log / "database.log"
    with log.open("a") as errors:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment(values), check=False
        )
    if done.returncode:
        raise SetupError(f"The end of {log}:\n{tail(log)}")
    (instance.run / "held").unlink(missing_ok=True)
    said = done.stdout.splitlines()
    for _, name, what in (line.split() for line in said if line.startswith("gone ")):
        now = "kept, switched off" if what == "kept" else "removed"
        say(f"trunk {name} is not in FAXROOM_TRUNK any more: {now}")
    if "held" in said:
        (instance.run / "held").touch()
    if "provisioned" in said:
        say(f"loaded {file}")
        (instance.home / "provisioned").write_text(f"{file}\n")


# ---- Running


def _start(instance: Instance, values: dict[str, str]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C reaches us alone, and we stop it in order."""
    python, overseer = ROOT / ".tools/venv/bin/python", ROOT / "bin/lib/overseer.py"
    command: Words = [*supervise.TETHER, python, overseer, "-c", instance.home / "supervisord.conf"]
    with (instance.log / "supervisord.out").open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(values),
            start_new_session=True,
        )


class Supervised:
    """supervisord and what it runs. One that has ended is followed by another, from the first start on."""

    def __init__(
        self, instance: Instance, values: dict[str, str], table: list[supervise.Program], keeper: keeping.Keeper
    ) -> None:
        self.instance, self.values, self.table, self.keeper = instance, values, table, keeper
        self.starts = 0
        self.with_ours = False
        self.remember_at = 0.0

    def start(self) -> None:
        self.process = _start(self.instance, self.values)
        self.starts += 1

    def start_ours(self) -> None:
        """What waited for the database. A supervisord that does not take it is ended, and the next one does."""
        self.with_ours = True
        try:
            supervise.start_ours(self.instance, self.table, has_ended=lambda: self.process.poll() is not None)
        except SetupError as error:
            complain(str(error))
            self.process.kill()
            self.process.wait()

    def look(self) -> None:
        """What it ran has ended with it, or is ended. The front stays, and says so meanwhile; calls go on."""
        if time.monotonic() > self.remember_at:
            self.remember_at = time.monotonic() + REMEMBER_SECONDS
            processes.remember(processes.descendants(os.getpid()), _started(self.instance))
        if self.process.poll() is None:
            return
        complain(f"supervisord has ended, and what it ran with it; all is started again. See {self.instance.log}")
        self.keeper.end_others(seconds=ENDING_SECONDS)
        self.start()
        if self.with_ours:
            self.start_ours()

    def restless(self) -> list[str]:
        """Those that we run ourselves and that do not stay up."""
        starts = {"supervisord": self.starts, **self.keeper.starts()}
        return [name for name, count in starts.items() if count > MOST_STARTS]


def _wait_until_ready(running: Supervised, say: Any) -> None:
    instance = running.instance
    deadline, told = time.monotonic() + READY_SECONDS, time.monotonic()
    patience = supervise.Patience(starts=MOST_STARTS)
    faults: dict[str, str] = {}
    while time.monotonic() < deadline:
        running.look()
        faults = _health(instance)
        if not faults:
            return
        if ending := running.restless() or patience.exhausted(supervise.beginnings(instance)):
            log = instance.log / ("supervisord.out" if ending[0] == "supervisord" else f"{ending[0]}.log")
            raise SetupError(f"{', '.join(ending)} does not stay up. The end of {log}:\n{tail(log)}")
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            say(f"still waiting for {', '.join(faults)}")
        time.sleep(0.2)
    lines = "\n".join(f"    {name}: {text}" for name, text in faults.items())
    raise SetupError(f"After {READY_SECONDS} s these do not answer:\n{lines}\nTheir logs are in {instance.log}")


def _health(instance: Instance) -> dict[str, str]:
    """Part → what is wrong with it; empty when all is well."""
    try:
        with urllib.request.urlopen(f"{instance.address}/healthz", timeout=10) as answer:
            return {} if answer.status == 200 else {"web": f"answers {answer.status}"}
    except urllib.error.HTTPError as error:
        return _faults(error.read())
    except OSError as error:
        return {"web": str(error)}


def _faults(body: bytes) -> dict[str, str]:
    try:
        parts = json.loads(body)
    except ValueError:
        return {"web": "answers with an error; see web.log"}
    parts = parts.get("parts", parts)
    if not all(isinstance(part, dict) for part in parts.values()):
        return {"web": str(parts)}
    wrong = {name: part for name, part in parts.items() if not part.get("ok") and name not in NOT_MENDED}
    return {name: f"{part.get('error')}. {part.get('advice')}" for name, part in wrong.items()}


def _ask_guards(instance: Instance) -> None:
    """Who looks after the others and stands still is killed; supervisord is started again by us, the watchdog by it."""
    for asked in supervise.guards(instance):
        threading.Thread(target=watchdog.keep_asking, args=asked, daemon=True, name=asked[0]).start()


def _tell(instance: Instance, progress: Progress) -> None:
    (instance.run / "ready").write_text(instance.address)
    lines = [f"\nFaxroom is ready after {progress.total():.1f} s: {instance.address}"]
    lines += [f"  by step: {', '.join(f'{name} {s:.1f}' for name, s in progress.seconds.items() if s >= 0.05)}"]
    if people := _demo_people(instance):
        lines += ["", "Demo sign-ins:", *(f"  {email:24} {password:12} {what}" for email, password, what in people)]
        if instance.bind not in ("127.0.0.1", "::1", "localhost"):
            lines += ["  WARNING: these passwords are known to everybody, and other machines reach this address."]
    if instance.own_mailboxes:
        smtp_port = instance.smtp_port or instances.private_ports_kept(instance.home)["mail"]
        lines += [
            "",
            f"Mailboxes: any address, password {mailboxes.PASSWORD}, without encryption; "
            f"IMAP 127.0.0.1:{instance.imap_port}, SMTP 127.0.0.1:{smtp_port}.",
            "  An email from alice@alpha.test to fax@alpha.test with a number as its subject, a PDF and the PIN 4711 "
            "in its text becomes a fax.",
        ]
    if instance.own_mail:
        lines += ["", f"Emails are kept in {instance.home / 'mail'}/new. Set SMTP_URL to send them."]
    if instance.own_office:
        lines += _confinement()
    if os.geteuid() == 0 and not instance.separate:
        lines += ["", f"WARNING: all runs as root, what strangers reach too, because {_why_root(instance)}."]
    if instance.own_asterisk and (few := _too_few(instance)):
        lines += ["", f"WARNING: {few}"]
    if (instance.run / "held").exists():
        lines += [
            "",
            "RESTORED FROM A BACKUP: it sends nothing and collects no mail until you run bin/faxroom restored",
        ]
    lines += [f"Logs are in {instance.log}. Ctrl-C stops everything.", ""]
    print("\n".join(lines), flush=True)


def _too_few(instance: Instance) -> str:
    """The portal knows the trunks' channels and tells the rest (bin/faxroom doctor)."""
    return too_few(instance.line_limit, given=instance.media_ports, files=_files_of_asterisk())


def _confinement() -> list[str]:
    """What stands between LibreOffice and this machine; a warning where nothing can."""
    command = [environment.PYTHON, "-B", "-m", "app.adapters.confined.room"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    text = said.stdout.strip() or said.stderr.strip()
    return ["", f"WARNING: {text}" if said.returncode else text]


def _demo_people(instance: Instance) -> list[tuple[str, str, str]]:
    """Email, password, what they are: of the demo file, if that is what this instance was loaded with."""
    try:
        if (instance.home / "provisioned").read_text().strip() != str(DEMO):
            return []
    except FileNotFoundError:
        return []
    pattern = re.compile(r"\{email: ([^,]+), name: ([^,]+), password: \"?([^\",}]+)\"?(?:, role: (\w+))?")
    return [
        (email, password, f"{name}, {role or 'operator'}")
        for email, name, password, role in pattern.findall(DEMO.read_text())
    ]
