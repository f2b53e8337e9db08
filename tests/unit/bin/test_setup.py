"""bin/up, bin/test, bin/faxroom: what can be judged without starting anything."""

import configparser
import contextlib
import dataclasses
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.config import Settings
from app.factory import create_app
from app.rules.sending.trunks import ports
from app.services.setup.provisioning import read_provision_file
from tests.waiting import in_time, until

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bin/lib"))
import accounts  # noqa: E402
import environment  # noqa: E402 - the set-up's own modules
import instance as instances  # noqa: E402
import mailboxes  # noqa: E402
import packages  # noqa: E402
import processes  # noqa: E402
import shell  # noqa: E402
import steps  # noqa: E402
import supervise  # noqa: E402
import testing  # noqa: E402
import tried  # noqa: E402
import up  # noqa: E402
from shell import SetupError  # noqa: E402

import asterisk  # noqa: E402
import front  # noqa: E402


def make(home: Path, **environment_: str) -> instances.Instance:
    return instances.read_instance(ROOT, {"FAXROOM_HOME": str(home), **environment_})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return Path(tmp_path, "h")


@pytest.fixture
def through() -> Iterator[Path]:
    """A folder through which other accounts may pass."""
    folder = Path(tempfile.mkdtemp(prefix="fx-accounts-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def prepared(home: Path) -> instances.Instance:
    instance = make(home)
    instances.prepare_home(instance)
    return instance


# ---- What it is told


def test_everything_has_a_default(home: Path) -> None:
    instance = instances.read_instance(ROOT, {})
    assert (instance.home, instance.port, instance.bind) == (ROOT / "var", 8000, "127.0.0.1")
    assert (instance.sip_port, instance.ari_port, instance.trunk) == (5060, 8088, "loop")


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "8000.0"])
def test_a_port_that_is_none_is_refused_by_name(home: Path, value: str) -> None:
    with pytest.raises(SetupError, match="FAXROOM_SIP_PORT"):
        make(home, FAXROOM_SIP_PORT=value)


def test_a_provision_file_that_is_not_there_is_refused(home: Path) -> None:
    with pytest.raises(SetupError, match="FAXROOM_PROVISION"):
        make(home, FAXROOM_PROVISION="/nowhere.yaml")


def test_a_home_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(SetupError, match="FAXROOM_HOME"):
        make(Path("/tmp/" + "x" * 80))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("REDIS_URL", "own_redis"),
        ("UNOSERVER_URL", "own_office"),
        ("ARI_URL", "own_asterisk"),
        ("SMTP_URL", "own_mail"),
        ("REDIS_URL_FILE", "own_redis"),
    ],
)
def test_what_is_given_is_not_started(home: Path, name: str, own: str) -> None:
    assert getattr(make(home), own)
    assert not getattr(make(home, **{name: "x"}), own)


def test_a_given_service_is_no_program_of_ours(prepared: instances.Instance) -> None:
    ports = instances.private_ports(prepared.home)
    names = [program.name for program in supervise.programs(prepared, ports)]
    ours = ["jobs", "line", "clock", "collect", "web"]
    assert names == ["watchdog", "redis", "mail", "office", "office_2", *ours]
    assert [program.name for program in supervise.kept_programs(prepared)] == ["front", "asterisk"]
    outside = dict.fromkeys(("REDIS_URL", "UNOSERVER_URL", "ARI_URL", "SMTP_URL"), "x")
    lean = make(prepared.home, FAXROOM_JOBS="1", **outside)
    (watchdog, *rest) = supervise.programs(lean, ports)
    assert (watchdog.name, [program.name for program in rest]) == ("watchdog", ours)
    assert [program.name for program in supervise.kept_programs(lean)] == ["front"]
    assert str(prepared.asterisk) not in " ".join(watchdog.command)


# ---- Accounts


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has other accounts to give")


def test_accounts_are_used_only_where_they_can_pass(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert str(tmp_path) in accounts.why_not([tmp_path / "home"])
    assert accounts.why_not([Path("/usr/lib/faxroom")]) is None


@as_root
def test_a_home_of_root_is_changed_over_and_each_account_reads_its_own_only(through: Path) -> None:
    accounts.make()
    instance = dataclasses.replace(make(through / "h"), separate=True)
    old = make(through / "h")
    instances.prepare_home(old)
    (old.home / "storage").mkdir()
    (old.home / "storage/fax.pdf").write_text("somebody's")
    spool = (*asterisk.FOR_THE_PORTAL, *asterisk.FROM_THE_PORTAL)
    for name in (*asterisk.WRITTEN, *asterisk.READ, *spool):
        (old.asterisk / name).mkdir(parents=True, exist_ok=True)
    (old.home / "redis.conf").write_text("a password")
    (old.asterisk / spool[0] / "received.tif").write_text("somebody's")
    with closing(sqlite3.connect(old.home / "faxroom.sqlite3")) as database:
        database.execute("PRAGMA journal_mode=wal")
        database.execute("CREATE TABLE kept (id INTEGER)")
    (old.asterisk / "lib/astdb.sqlite3").write_text("kept")
    (old.asterisk / "etc/pjsip.conf").write_text("a password")
    for _ in range(2):
        instances.prepare_home(instance)
        front.configure(instance.front, web=instance.web, listen=instance.listen, proxies=0)
        up._hand_over(instance)
        accounts.give(instances.move_database(instance), accounts.PORTAL)

    may, home = accounts.may, instance.home
    for name, path in (
        *((accounts.ASTERISK, instance.asterisk / place) for place in asterisk.WRITTEN),
        *((accounts.FRONT, instance.front / place) for place in front.WRITTEN),
        *((accounts.ASTERISK, instance.asterisk / place) for place in asterisk.FOR_THE_PORTAL),
        *((accounts.PORTAL, instance.asterisk / place) for place in spool),
        *((accounts.PORTAL, home / place) for place in (*instances.PORTAL_FOLDERS, *instances.MAIL_FOLDERS)),
        *((accounts.PORTAL, home / place) for place in ("database", "web", "run/redis")),
        (accounts.PORTAL, home / "faxroom.sqlite3"),
        (accounts.PORTAL, home / "storage/fax.pdf"),
    ):
        assert may(name, "-w", path), (name, path)
    with closing(sqlite3.connect(home / "faxroom.sqlite3")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("kept",)]
    for name, path in (
        (accounts.ASTERISK, instance.asterisk / "lib/astdb.sqlite3"),
        (accounts.ASTERISK, instance.asterisk / "etc/pjsip.conf"),
        (accounts.ASTERISK, instance.asterisk / "spool/faxroom/outgoing"),
        (accounts.FRONT, instance.front / "nginx.conf"),
        (accounts.PORTAL, home / "secrets/SECRET_KEY"),
        (accounts.PORTAL, home / "redis.conf"),
        (accounts.PORTAL, instance.asterisk / spool[0] / "received.tif"),
    ):
        assert may(name, "-r", path), (name, path)
    assert may(accounts.FRONT, "-x", instance.web.parent)
    assert not may(accounts.ASTERISK, "-x", instance.web.parent)
    for name in (accounts.ASTERISK, accounts.FRONT):
        for path in (home, home / "secrets/SECRET_KEY", home / "storage/fax.pdf", home / "storage", home / "run"):
            assert not may(name, "-r", path), (name, path)
    for name in (accounts.PORTAL, accounts.ASTERISK, accounts.FRONT):
        for path in (home, home / "run", home / "secrets", home / "log", home / "supervisord.conf"):
            assert not may(name, "-w", path), (name, path)
        assert not may(name, "-r", home)
    assert not may(accounts.PORTAL, "-r", instance.asterisk / "etc/pjsip.conf")
    assert not may(accounts.PORTAL, "-r", instance.asterisk / "lib/astdb.sqlite3")
    for path in (instance.asterisk, instance.asterisk / "etc", instance.asterisk / "spool/faxroom/outgoing"):
        assert not may(accounts.ASTERISK, "-w", path)  # a link there would lead root's pen
    assert not may(accounts.FRONT, "-r", instance.asterisk / "etc/pjsip.conf")
    assert not may(accounts.FRONT, "-w", instance.front)


@as_root
def test_what_the_portal_may_not_reach_elsewhere_keeps_all_with_root(
    through: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "ROOT", Path("/usr/lib/faxroom"))
    key, documents = through / "key", through / "documents"
    key.write_text("a secret")
    key.chmod(0o600)
    documents.mkdir(mode=0o700)
    instance = make(through / "h")
    for name, value in (("SECRET_KEY_FILE", key), ("STORAGE_URL", f"file://{documents}")):
        monkeypatch.setenv(name, str(value))
        reason = up._why_root(instance)
        assert reason and str(value).removeprefix("file://") in reason
        monkeypatch.delenv(name)
    assert up._why_root(instance) is None
    shutil.chown(documents, accounts.PORTAL)
    monkeypatch.setenv("STORAGE_URL", f"file://{documents}")
    assert up._why_root(instance) is None
    monkeypatch.setattr(up, "ROOT", through)
    (through / "wsgi.py").touch(mode=0o600)
    assert str(through / "wsgi.py") in up._why_root(instance)


def test_a_database_at_two_places_is_left_to_a_person(home: Path) -> None:
    instance = make(home)
    (home / "database").mkdir(parents=True)
    for place in ("faxroom.sqlite3", "database/faxroom.sqlite3"):
        (home / place).touch()
    with pytest.raises(SetupError, match="Move away the one you do not need"):
        instances.move_database(instance)


def test_a_name_in_tmp_that_somebody_else_has_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    long = Path("/" + "x" * asterisk.LONGEST_SOCKET)
    folder = asterisk._run_folder(long)
    assert (folder.parent, asterisk._run_folder(long)) == (tmp_path, folder)
    folder.chmod(0o777)
    with pytest.raises(asterisk.SetupError, match="not ours alone"):
        asterisk._run_folder(long)
    folder.rmdir()
    folder.symlink_to("/nowhere")
    with pytest.raises((asterisk.SetupError, FileExistsError)):
        asterisk._run_folder(long)


@as_root
def test_asterisk_may_write_into_the_portal_s_pipe_after_each_start(through: Path) -> None:
    """Its mode is the portal's to set, when it listens (app/adapters/telephony/answers.py); its group is not."""
    accounts.make()
    handed = through / "handed"
    handed.mkdir()
    pipe = handed / "answers"
    for _ in range(3):
        accounts.hand(handed, accounts.PORTAL, to=accounts.ASTERISK)
        listening = (
            "import sys, pathlib, app.adapters.telephony.answers as it; it.Answers().listen(pathlib.Path(sys.argv[1]))"
        )
        command = [*accounts.become(accounts.PORTAL), "/usr/bin/python3", "-B", "-c", listening, str(pipe)]
        subprocess.run(command, cwd=ROOT, check=True)
        assert accounts.may(accounts.ASTERISK, "-w", pipe)
        assert not accounts.may(accounts.FRONT, "-w", pipe)


@as_root
def test_no_link_leads_a_giving_astray(through: Path) -> None:
    accounts.make()
    elsewhere, given = through / "elsewhere", through / "given"
    elsewhere.mkdir(mode=0o700)
    given.mkdir()
    (elsewhere / "key").touch()
    (given / "folder").symlink_to(elsewhere)
    (given / "file").symlink_to(elsewhere / "key")
    (given / "another name").hardlink_to(elsewhere / "key")
    accounts.give(given, accounts.ASTERISK)
    assert {path.stat().st_uid for path in (elsewhere, elsewhere / "key")} == {0}


@as_root
def test_who_becomes_another_account_has_no_right_and_ends_with_its_parent(through: Path) -> None:
    accounts.make()
    script = "grep -E '^(CapPrm|CapBnd|NoNewPrivs|Uid)' /proc/self/status"
    plain = subprocess.run([*accounts.become(accounts.FRONT), "sh", "-c", script], capture_output=True, text=True)
    values = dict(line.split(":") for line in plain.stdout.splitlines())
    assert (int(values["CapPrm"], 16), int(values["CapBnd"], 16), values["NoNewPrivs"].strip()) == (0, 0, "1")
    assert values["Uid"].split()[0] != "0"
    low = [*accounts.become(accounts.FRONT, low_port=True), "sh", "-c", script]
    values = dict(line.split(":") for line in subprocess.run(low, capture_output=True, text=True).stdout.splitlines())
    assert int(values["CapPrm"], 16) == 1 << 10  # CAP_NET_BIND_SERVICE, capabilities(7)
    inner = " ".join((*accounts.become(accounts.FRONT), "sleep", "600"))
    parent = subprocess.Popen(["sh", "-c", f"{inner} & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    until(lambda: command_line(pid).startswith(b"sleep\0"))
    parent.kill()
    parent.wait()
    until(lambda: not command_line(pid))


def command_line(pid: int) -> bytes:
    """Empty once it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_what_listens_to_strangers_knows_no_setting(prepared: instances.Instance) -> None:
    table = supervise.programs(prepared, instances.private_ports(prepared.home))
    for program in (*table, *supervise.kept_programs(prepared)):
        if program.name in ("asterisk", "front"):
            words = program.command
            assert words[words.index("/usr/bin/env") + 1] == "-i"
            assert not any("SECRET" in word or "REDIS" in word for word in words)


# ---- The front


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "::1", "::"])
@pytest.mark.parametrize("proxies", ["0", "2"])
def test_nginx_reads_what_is_written_for_it(prepared: instances.Instance, bind: str, proxies: str) -> None:
    instance = make(prepared.home, FAXROOM_BIND=bind, FAXROOM_PROXIES=proxies, FAXROOM_PORT=free_port())
    front.configure(instance.front, web=instance.web, listen=instance.listen, proxies=instance.proxies)
    command = [front.NGINX, "-t", "-e", "stderr", "-p", instance.front, "-c", instance.front / "nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_front_takes_what_the_web_takes(prepared: instances.Instance) -> None:
    assert create_app(Settings.from_environment({"SECRET_KEY": "x"})).config["MAX_CONTENT_LENGTH"] == front.BODY_BYTES


def test_a_number_of_proxies_is_a_number(home: Path) -> None:
    (home.parent / "count").write_text("1\n")
    assert make(home).proxies == 0
    assert make(home, FAXROOM_PROXIES_FILE=str(home.parent / "count")).proxies == 1
    with pytest.raises(SetupError, match="FAXROOM_PROXIES"):
        make(home, FAXROOM_PROXIES="one")


@pytest.mark.parametrize(
    ("bind", "address"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("192.0.2.1", "http://192.0.2.1:8000")],
)
def test_what_listens_everywhere_is_asked_at_home(home: Path, bind: str, address: str) -> None:
    assert make(home, FAXROOM_BIND=bind).address == address


# ---- Ports


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_taken_port_names_the_variable_to_change(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(SetupError, match=f"Port {port} .*FAXROOM_PORT="):
            instances.check_ports(make(home, FAXROOM_PORT=port))
        with pytest.raises(SetupError, match=f"Port {port} .*FAXROOM_ARI_PORT="):
            instances.check_ports(make(home, FAXROOM_PORT=free_port(), FAXROOM_ARI_PORT=port))


def test_a_taken_sip_port_is_noticed_on_udp(home: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        free = {"FAXROOM_PORT": free_port(), "FAXROOM_ARI_PORT": free_port()}
        with pytest.raises(SetupError, match="FAXROOM_SIP_PORT="):
            instances.check_ports(make(home, FAXROOM_SIP_PORT=port, **free))


def test_private_ports_are_kept_and_differ(prepared: instances.Instance) -> None:
    first = instances.private_ports(prepared.home)
    assert instances.private_ports(prepared.home) == first
    assert len(set(first.values())) == len(instances.PRIVATE_PORTS)


def test_a_private_port_that_somebody_took_is_replaced(prepared: instances.Instance) -> None:
    first = instances.private_ports(prepared.home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["redis"]))
        taken.listen()
        second = instances.private_ports(prepared.home)
    assert second["redis"] != first["redis"]
    assert {name: port for name, port in second.items() if name != "redis"} == {
        name: port for name, port in first.items() if name != "redis"
    }


# ---- Secrets and settings


def test_secrets_are_made_once_and_only_their_owner_reads_them(prepared: instances.Instance) -> None:
    file = prepared.home / "secrets/SECRET_KEY"
    first = file.read_text()
    instances.prepare_home(prepared)
    assert file.read_text() == first
    assert len(first) >= 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(prepared.home.stat().st_mode) == 0o700


def test_a_home_that_others_could_enter_is_closed_at_the_next_start(prepared: instances.Instance) -> None:
    (prepared.home / "faxroom.sqlite3").touch(mode=0o644)
    (prepared.home / "storage").mkdir(mode=0o755)
    prepared.home.chmod(0o755)
    instances.prepare_home(prepared)
    for name, mode in ((".", 0o700), ("faxroom.sqlite3", 0o600), ("storage", 0o700)):
        assert stat.S_IMODE((prepared.home / name).stat().st_mode) == mode


def test_what_lay_open_far_down_is_closed_once(prepared: instances.Instance) -> None:
    (prepared.home / "closed").unlink()
    file, link = prepared.home / "storage/alpha/fax.pdf", prepared.home / "storage/link"
    file.parent.mkdir(parents=True)
    file.touch()
    link.symlink_to("/usr/bin/true")
    file.parent.chmod(0o755)
    file.chmod(0o644)
    instances.prepare_home(prepared)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o700, 0o600]
    assert Path("/usr/bin/true").stat().st_mode & 0o755 == 0o755


def test_what_an_earlier_office_put_aside_goes(prepared: instances.Instance) -> None:
    (prepared.home / "office/tmp").mkdir(parents=True)
    (prepared.home / "office/tmp/lu1.tmp").write_text("a part of a document")
    instances.prepare_home(prepared)
    assert not (prepared.home / "office").exists()


def test_a_home_of_another_account_is_refused(prepared: instances.Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SetupError, match="another account"):
        instances.prepare_home(prepared)


def test_the_application_reads_what_is_handed_to_it(prepared: instances.Instance) -> None:
    ports = instances.private_ports(prepared.home)
    settings = Settings.from_environment(instances.settings(prepared, ports, {}))
    assert settings.home == prepared.home
    assert settings.secret_key == instances.secret(prepared, "SECRET_KEY")
    assert settings.ari_password == instances.secret(prepared, "ARI_PASSWORD")
    assert settings.redis_url.endswith(f"@127.0.0.1:{ports['redis']}/0")
    assert len(settings.unoserver_urls) == 2
    assert settings.smtp_url == f"smtp://127.0.0.1:{ports['mail']}"


def test_what_is_given_wins_over_what_would_be_made(prepared: instances.Instance) -> None:
    given = {"SECRET_KEY": "mine", "DATABASE_URL": "postgresql://db/fax", "REDIS_URL_FILE": "/run/secrets/redis"}
    told = {"FAXROOM_HOME": str(prepared.home), **given}
    values = instances.settings(instances.read_instance(ROOT, told), instances.private_ports(prepared.home), told)
    assert {name: values[name] for name in given} == given
    assert "SECRET_KEY_FILE" not in values
    assert "REDIS_URL" not in values


def test_the_environment_file_is_private_and_of_single_lines(prepared: instances.Instance) -> None:
    instances.write_environment(prepared, {"A": "1 $HOME 'x'", "B": "2"})
    file = prepared.home / "faxroom.env"
    assert file.read_text() == "A=1 $HOME 'x'\nB=2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(SetupError, match="SECRET_KEY_FILE"):
        instances.write_environment(prepared, {"SECRET_KEY": "two\nlines"})


@pytest.fixture
def faxroom(tmp_path: Path, prepared: instances.Instance):
    """bin/faxroom in a tree whose Python only shows its environment."""
    root = tmp_path / "r"
    (root / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin/faxroom", root / "bin/faxroom")
    tools = root / ".tools/venv/bin"
    tools.mkdir(parents=True)
    for name in ("python", "flask"):
        (tools / name).write_text('#!/bin/sh\necho "$@"\nenv\n')
        (tools / name).chmod(0o755)

    def run(**variables: str) -> list[str]:
        told = {"PATH": os.environ["PATH"], "FAXROOM_HOME": str(prepared.home), **variables}
        done = subprocess.run(
            [root / "bin/faxroom", "faxes", "a b"], env=told, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return run


def test_the_command_line_runs_with_the_settings_of_the_instance(prepared: instances.Instance, faxroom) -> None:
    instances.write_environment(prepared, {"SECRET_KEY_FILE": "/s", "MAIL_FROM": "Fax $(date) <a@b>", "X": "a=b"})
    lines = faxroom()
    assert lines[0].endswith("faxroom.py faxes a b")
    assert {"SECRET_KEY_FILE=/s", "MAIL_FROM=Fax $(date) <a@b>", "X=a=b"} <= set(lines)


def test_the_command_line_does_not_override_what_is_set(prepared: instances.Instance, faxroom) -> None:
    instances.write_environment(prepared, {"SECRET_KEY_FILE": "/s", "SMTP_URL": "smtp://kept"})
    lines = faxroom(SECRET_KEY="mine", SMTP_URL="")
    assert "SECRET_KEY=mine" in lines
    assert not [line for line in lines if line.startswith("SECRET_KEY_FILE=")]
    assert "SMTP_URL=smtp://kept" in lines


def test_a_restore_runs_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin/faxroom", tmp_path / "bin/faxroom")
    for tree in ("bin/lib", "app/rules/sending/trunks"):
        shutil.copytree(ROOT / tree, tmp_path / tree)
    for module in ("app/errors.py", "app/dialled.py"):
        shutil.copy(ROOT / module, tmp_path / module)
    command = [tmp_path / "bin/faxroom", "restore", tmp_path / "nothing"]
    told = {"PATH": os.environ["PATH"], "FAXROOM_HOME": str(tmp_path / "h")}
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert (done.returncode, "is no backup" in done.stderr) == (1, True)


def test_what_starts_first_needs_nothing_that_is_installed() -> None:
    """-S: without site-packages, Debian's own as well."""
    paths = [str(ROOT / "bin/lib"), str(ROOT)]
    code = f"import sys; sys.path[:0] = {paths}; import up, testing"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["up", "test", "sbom", "faxroom", "faxroom restore"])
def test_every_command_says_what_it_does_and_does_nothing_else(tmp_path: Path, command: str) -> None:
    name, *more = command.split()
    told = {"PATH": os.environ["PATH"], "FAXROOM_HOME": str(tmp_path / "h")}
    asked = [str(ROOT / "bin" / name), *more, "--help"]
    done = subprocess.run(asked, env=told, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.startswith(f"usage: bin/{command} ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["up --now", "up now", "sbom --nonsense", "faxroom restore", "faxroom nonsense"])
def test_every_command_refuses_what_it_does_not_know(tmp_path: Path, command: str) -> None:
    name, *more = command.split()
    told = {"PATH": os.environ["PATH"], "FAXROOM_HOME": str(tmp_path / "h")}
    asked = [str(ROOT / "bin" / name), *more]
    done = subprocess.run(asked, env=told, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode != 0, bool(done.stderr)) == (True, True)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# ---- A restored instance


def test_a_restored_instance_is_told_what_the_first_one_was_unless_told_otherwise(prepared: instances.Instance) -> None:
    told = {
        "FAXROOM_TRUNK": "sip:a:b@c",
        "SMTP_URL_FILE": "/run/smtp",
        "DATABASE_URL": "postgresql://db/fax",
        "HOME": "/",
    }
    instances.write_given(prepared, told)
    assert stat.S_IMODE((prepared.home / instances.GIVEN).stat().st_mode) == 0o600
    (prepared.home / instances.GIVEN).rename(prepared.home / instances.RESTORED)
    defaults = instances.restored_defaults(prepared.home, {"SMTP_URL": "smtp://other"})
    assert defaults == {"FAXROOM_TRUNK": "sip:a:b@c", "DATABASE_URL": "postgresql://db/fax"}


def test_a_restore_that_broke_off_is_not_started(prepared: instances.Instance) -> None:
    assert instances.restored_defaults(prepared.home, {}) == {}
    (prepared.home / instances.UNFINISHED).touch()
    with pytest.raises(SetupError, match="Remove this folder and restore again"):
        instances.restored_defaults(prepared.home, {})


# ---- supervisord


def configuration(instance: instances.Instance) -> configparser.RawConfigParser:
    table = supervise.programs(instance, instances.private_ports(instance.home))
    parser = configparser.RawConfigParser()
    parser.read(supervise.write_configuration(instance, table))
    return parser


def test_every_process_ends_with_its_parent_and_is_started_again(prepared: instances.Instance) -> None:
    parser = configuration(prepared)
    programs = [parser[name] for name in parser.sections() if name.startswith("program:")]
    assert len(programs) == 10
    for program in programs:
        assert program["command"].startswith("setpriv --pdeathsig TERM -- /")
        assert program["autorestart"] == "true"
        assert program["killasgroup"] == "true"


def test_who_says_that_it_gets_on_is_told_where_by_a_name_of_our_own(prepared: instances.Instance) -> None:
    """gunicorn and Asterisk speak to NOTIFY_SOCKET by themselves, and would hang with a watchdog that stands still."""
    parser = configuration(prepared)
    told = {name: parser.get(name, "environment", fallback="") for name in parser.sections()}
    watched = {name for name, environment in told.items() if "NOTIFY_SOCKET" in environment}
    assert watched == {f"program:{name}" for name in ("jobs", "line", "clock", "collect", "web")}
    assert all(told[name].startswith("FAXROOM_NOTIFY_SOCKET=") for name in watched)


def test_what_prepares_the_database_ends_with_bin_up_too(prepared: instances.Instance, monkeypatch) -> None:
    """One that outlived a kill -9 would bring the database to the newest form beside the next one's."""
    commands = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(up.subprocess, "run", run)
    up._prepare_database(prepared, {}, print)
    assert tuple(commands[0][: len(supervise.TETHER)]) == supervise.TETHER


def test_our_own_processes_wait_for_the_database_and_others_do_not(prepared: instances.Instance) -> None:
    parser = configuration(prepared)
    waiting = {name for name in parser.sections() if parser.get(name, "autostart", fallback="") == "false"}
    assert waiting == {
        "program:jobs",
        "program:line",
        "program:clock",
        "program:collect",
        "program:web",
    }


def test_no_secret_is_in_the_supervisors_configuration(prepared: instances.Instance) -> None:
    configuration(prepared)
    text = (prepared.home / "supervisord.conf").read_text()
    for name in instances.SECRETS:
        assert instances.secret(prepared, name) not in text


def test_redis_takes_nobody_without_the_password(prepared: instances.Instance) -> None:
    supervise.write_redis_configuration(prepared, instances.private_ports(prepared.home))
    file = prepared.home / "redis.conf"
    assert "bind 127.0.0.1\n" in file.read_text()
    assert f"requirepass {instances.secret(prepared, 'REDIS_PASSWORD')}\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_patience_ends_for_a_process_that_is_started_again_and_again() -> None:
    patience = supervise.Patience(starts=2)
    assert patience.exhausted({"web": 0, "line": 5}) == []
    assert patience.exhausted({"web": 5, "line": 5}) == []
    assert patience.exhausted({"web": 7, "line": 5}) == []
    assert patience.exhausted({"web": 9, "line": 6}) == ["web"]


# ---- Steps


def test_a_failed_step_is_told_by_name_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    def break_down(say: shell.Say) -> None:
        say("trying")
        raise SetupError("The disk is full.")

    progress = steps.Progress()
    with pytest.raises(steps.StepFailed, match=r'"packages" failed. The disk is full\.'):
        progress.step("packages", break_down)
    assert "packages     trying" in capsys.readouterr().out


def test_the_first_failure_of_several_is_raised_without_waiting_for_the_others() -> None:
    def fail() -> None:
        raise steps.StepFailed("one", "broken")

    goes_on = threading.Event()
    try:
        with in_time(), pytest.raises(steps.StepFailed):
            steps.Progress().together(fail, lambda: goes_on.wait(200))
    finally:
        goes_on.set()


def test_a_failed_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"ended with code 3.*\n.*the reason"):
        shell.run(["sh", "-c", "echo the reason; exit 3"], log=tmp_path / "x.log")


# ---- Packages and the virtual environment


def test_an_installed_alternative_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 1, stdout="b installed\nc not-installed\nd installed\n")
    monkeypatch.setattr(packages.subprocess, "run", lambda *_, **__: answer)
    assert packages.missing(["a|b", "c", "d", "e"]) == ["c", "e"]


def test_no_package_of_ours_brings_a_service_of_its_own() -> None:
    assert not {"redis-server", "postgresql", "asterisk"} & {*packages.FIRST, *packages.RUNTIME, *packages.TEST}


def test_a_changed_lock_file_means_installing_again(tmp_path: Path) -> None:
    (tmp_path / ".tools/venv").mkdir(parents=True)
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1\n")
    assert not environment.is_ready(tmp_path, lock.name)
    environment._write_stamp(tmp_path, lock.name)
    assert environment.is_ready(tmp_path, lock.name)
    lock.write_text("a==2\n")
    assert not environment.is_ready(tmp_path, lock.name)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-tools.lock", "requirements-node.lock"])
def test_every_locked_package_has_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert entries
    assert all("==" in line and line.endswith("\\") for line in entries)
    assert "://" not in text


# ---- The demo and the summary


def test_the_demo_is_a_valid_provision_file_whose_sign_ins_are_all_told(prepared: instances.Instance) -> None:
    content = read_provision_file(up.DEMO)
    assert [tenant.slug for tenant in content.tenants] == ["alpha", "beta"]
    users = [*content.operators, *(user for tenant in content.tenants for user in tenant.users)]
    (prepared.home / "provisioned").write_text(f"{up.DEMO}\n")
    told = up._demo_people(prepared)
    assert [(email, password) for email, password, _ in told] == [(user.email, user.password) for user in users]
    assert {user.password for user in users} == {testing.DEMO_PASSWORD}


def test_sign_ins_of_another_provision_file_are_not_told(prepared: instances.Instance) -> None:
    (prepared.home / "provisioned").write_text("/etc/faxroom/ours.yaml\n")
    assert up._demo_people(prepared) == []


def test_the_parts_that_do_not_answer_are_told_with_advice() -> None:
    body = {"ok": False, "parts": {"web": {"ok": True}, "redis": {"ok": False, "error": "E", "advice": "Do this."}}}
    assert up._faults(json.dumps(body).encode()) == {"redis": "E. Do this."}
    assert "web" in up._faults(b"<html>")


def test_a_full_disk_keeps_nothing_from_being_started() -> None:
    full = {"ok": False, "error": "disk_full", "advice": "Make room."}
    assert up._faults(json.dumps({"ok": False, "parts": {"web": {"ok": True}, "room": full}}).encode()) == {}


def test_errors_count_as_failed(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>', encoding="utf-8"
    )
    assert testing.read_report(report) == Counter(passed=4, failed=3, skipped=3)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [([], True), (["tests"], True), (["tests/live"], True), (["-k", "busy"], True), (["tests/unit", "-x"], False)],
)
def test_an_instance_is_started_only_for_tests_that_may_need_it(arguments: list[str], needed: bool) -> None:
    assert testing._needs_instance(arguments) is needed


def test_tests_see_nothing_of_an_installation_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/fax")
    monkeypatch.setenv("SMTP_URL_FILE", "/run/secrets/smtp")
    monkeypatch.setenv("FAXROOM_HOME", "/srv/fax")
    assert not {"DATABASE_URL", "SMTP_URL_FILE", "FAXROOM_HOME"} & testing._environment().keys()


# ---- Stopping


#: Its first thread ends at once, another one when it is told.
LAST_THREAD = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("here", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_of_which_a_thread_still_ends_has_not_gone() -> None:
    """It holds its ports until then."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LAST_THREAD], **pipes) as process:
        process.stdout.readline()
        while processes._status(process.pid)[0] != "Z":
            time.sleep(0.01)
        assert processes.started(process.pid) and process.pid in processes.descendants(os.getpid())
        process.stdin.close()
        until(lambda: not processes.started(process.pid))
        assert process.pid not in processes.descendants(os.getpid())


def test_processes_below_processes_are_found() -> None:
    outer = subprocess.Popen(["sh", "-c", "sleep 300 & wait"])
    try:
        below = until(lambda: processes.descendants(outer.pid))
        assert len(below) == 1
        assert {outer.pid, *below} <= set(processes.descendants(os.getpid()))
    finally:
        for pid in [*processes.descendants(outer.pid), outer.pid]:
            os.kill(pid, 9)
        outer.wait()


# ---- Mailboxes for trying out


def test_mailboxes_run_where_their_port_is_given_and_mails_are_ours(prepared: instances.Instance) -> None:
    ports = instances.private_ports(prepared.home)

    def names(**told: str) -> list[str]:
        return [program.name for program in supervise.programs(make(prepared.home, **told), ports)]

    assert "mailboxes" not in names()
    assert "mailboxes" in names(FAXROOM_IMAP_PORT="1143")
    assert "mailboxes" not in names(FAXROOM_IMAP_PORT="1143", SMTP_URL="smtp://mail.example.org")


def test_the_entrance_is_open_where_it_has_a_port(prepared: instances.Instance) -> None:
    ports = instances.private_ports(prepared.home)

    def names(**told: str) -> list[str]:
        return [program.name for program in supervise.programs(make(prepared.home, **told), ports)]

    assert "entrance" not in names() and "entrance" not in names(FAXROOM_ENTRANCE_PORT="0")
    assert "entrance" in names(FAXROOM_ENTRANCE_PORT="5070")


def test_only_the_port_of_the_mailboxes_may_be_named_inside(prepared: instances.Instance) -> None:
    instance, ports = make(prepared.home, FAXROOM_IMAP_PORT="1143"), instances.private_ports(prepared.home)
    name = "FAXROOM_ALLOW_PRIVATE_HOSTS"
    assert instances.settings(instance, ports, {})[name] == "127.0.0.1:1143"
    assert instances.settings(instance, ports, {name: "10.0.0.1"})[name] == "10.0.0.1"
    assert name not in instances.settings(prepared, ports, {})


def test_the_address_of_a_mailbox_leads_nowhere_else() -> None:
    boxes = Path("/boxes")
    assert mailboxes.mailbox_of(boxes, "Fax@alpha.test") == boxes / "fax@alpha.test"
    for address in ("../fax@alpha.test", ".hidden@alpha.test", "a/b@alpha.test", "", "a\0@alpha.test"):
        assert mailboxes.mailbox_of(boxes, address) is None


@pytest.mark.parametrize(
    "module",
    ["app_system", "func_curl", "func_env", "res_agi", "app_externalivr", "app_mixmonitor", "pbx_spool"],
)
def test_asterisk_has_nothing_that_reads_files_or_calls_elsewhere_or_runs_what_it_is_given(module: str) -> None:
    lines = (ROOT / "asterisk/modules.conf").read_text().splitlines()
    assert f"noload = {module}.so" in lines


def test_the_commands_of_the_dialplan_hold_nothing_but_the_id_of_a_call() -> None:
    """Of which no sign is left that a shell reads within single quotes, or Asterisk's console as another word."""
    dialplan = (ROOT / "asterisk/extensions.conf").read_text()
    commands = re.findall(r"SHELL\((.*?)\)}\"", dialplan)
    assert len(commands) == dialplan.count("SHELL(") == 4
    assert {name for command in commands for name in re.findall(r"\${(.*?)}", command)} == {
        "ASTSPOOLDIR",
        "ASTETCDIR",
        "FAX_MARK",
        "FAX_SESSION",
    }
    assert {*re.findall(r"Set\(FAX_MARK=(.*)\)", dialplan)} == {r"${FILTER(0-9A-Za-z.\x2d,${CHANNEL(uniqueid)})}"}
    assert "Set(FAX_SESSION=${FILTER(0-9,${FAX_SESSION})})" in dialplan
    assert (ROOT / "asterisk/fax-status").read_text().count("$$1") == 1
    assert "$$" not in (ROOT / "asterisk/registrations").read_text()
    lines = dialplan.splitlines()
    for number in (number for number, line in enumerate(lines) if "SHELL(" in line and "/registrations'" not in line):
        assert re.search(r"Set\(FAX_(MARK|SESSION)=\${FILTER", lines[number - 1])
    assert "live_dangerously = no" in (ROOT / "asterisk/asterisk.conf").read_text().splitlines()


def test_programs_find_their_code_wherever_bin_up_is_started_from(prepared: instances.Instance) -> None:
    """A supervisord that stays in the foreground heeds no folder of its own."""
    written = configparser.RawConfigParser(strict=False)
    written.read(
        supervise.write_configuration(prepared, supervise.programs(prepared, instances.private_ports(prepared.home)))
    )
    programs = [name for name in written.sections() if name.startswith("program:")]
    assert programs and {written[name]["directory"] for name in programs} == {str(ROOT)}


# ---- Which Asterisk is taken

KNOWN = {
    tried.Package("asterisk", "1:22.10.1-1", "amd64", "a" * 64),
    tried.Package("asterisk-config", "1:22.10.1-1", "all", "b" * 64),
}


def moved_to(version: str, digest: str = "c" * 64) -> set[tried.Package]:
    return {
        tried.Package("asterisk", version, "amd64", digest),
        tried.Package("asterisk-config", version, "all", digest),
    }


@pytest.mark.parametrize("allowed", ["tried", "series", "any"])
def test_an_asterisk_that_was_tried_is_taken_without_a_word(allowed: str) -> None:
    assert tried.judge(KNOWN, KNOWN, allowed=allowed) == []


@pytest.mark.parametrize("allowed", ["tried", "series", "any"])
def test_another_file_of_a_version_that_was_tried_is_never_taken(allowed: str) -> None:
    with pytest.raises(SetupError, match="not the one that was tried: its SHA-256 is ccc"):
        tried.judge(moved_to("1:22.10.1-1"), KNOWN, allowed=allowed)


def test_when_the_archive_has_moved_the_same_series_is_taken_and_it_is_said() -> None:
    said = tried.judge(moved_to("1:22.11.0-1"), KNOWN)
    assert len(said) == 2 and "asterisk 1:22.11.0-1 amd64 was not tried" in said[0] and "c" * 64 in said[0]
    with pytest.raises(SetupError, match=r"1:22\.10\.1-1 was\), and FAXROOM_ASTERISK=tried allows no other"):
        tried.judge(moved_to("1:22.11.0-1"), KNOWN, allowed="tried")


def test_another_series_is_taken_only_by_who_says_so() -> None:
    with pytest.raises(SetupError, match="FAXROOM_ASTERISK=any"):
        tried.judge(moved_to("1:23.0.0-1"), KNOWN)
    assert len(tried.judge(moved_to("1:23.0.0-1"), KNOWN, allowed="any")) == 2
    with pytest.raises(SetupError, match="must be tried, series or any"):
        tried.judge(KNOWN, KNOWN, allowed="yes")
    with pytest.raises(SetupError, match="gave no asterisk-config"):
        tried.judge({package for package in KNOWN if package.name == "asterisk"}, KNOWN)


def test_files_of_the_archive_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    for name in ("asterisk_1%3a22.10.1+dfsg-1_amd64.deb", "libc6_2.41-1_amd64.deb"):
        (tmp_path / name).write_bytes(b"x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    found = tried.fetched(tmp_path.glob("*.deb"), ["asterisk", "asterisk-modules"])
    assert found == {tried.Package("asterisk", "1:22.10.1+dfsg-1", "amd64", digest)}


def test_what_was_tried_is_of_the_series_that_is_taken() -> None:
    lock = tried.read_lock()
    wanted = {"asterisk", "asterisk-modules", "asterisk-config", "libspandsp2t64"}
    for architecture in ("amd64", "arm64"):
        assert wanted == {package.name for package in lock if package.architecture in (architecture, "all")}
    assert all(re.fullmatch("[0-9a-f]{64}", package.sha256) for package in lock)
    assert {tried.series_of(package.version) for package in lock if package.name == "asterisk"} == {tried.SERIES}


class Apt:
    """What is run to install Asterisk; apt puts ``files`` into the root's cache."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.ran = files, []

    def run(self, command: list[str], root: Path, what: str) -> None:
        self.ran.append(" ".join(command))
        if "debootstrap" in command:
            for folder in ("usr/sbin", "var/cache/apt/archives"):
                (root / folder).mkdir(parents=True)
        if "--download-only" in command:
            for name, content in self.files.items():
                (root / "var/cache/apt/archives" / name).write_bytes(content)


def test_nothing_of_an_asterisk_is_installed_before_its_files_are_judged(tmp_path: Path, monkeypatch) -> None:
    names = sorted({package.name for package in tried.read_lock()})
    apt = Apt({f"{name}_1%3a23.0.0-1_amd64.deb": b"x" for name in names})
    monkeypatch.setattr(asterisk, "_run", apt.run)
    with pytest.raises(SetupError, match="not of the series 22 either"):
        asterisk.install(tmp_path / "root", lambda _: None)
    assert any("--download-only" in command for command in apt.ran)
    assert not any("apt-get install" in command and "--download-only" not in command for command in apt.ran)
    said: list[str] = []
    shutil.rmtree(tmp_path / "root")
    asterisk.install(tmp_path / "root", said.append, allowed="any")
    assert any("apt-get install" in command and "--no-download" in command for command in apt.ran)
    assert sum("was not tried" in line for line in said) == len(names)


def test_a_slow_machine_is_waited_for_and_it_is_said_for_whom(prepared: instances.Instance, monkeypatch) -> None:
    """To give up would end what had nearly come up, and so on at each start."""
    said, clock = [], iter(range(0, 1000, 10))
    monkeypatch.setattr(up.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(up.time, "sleep", lambda _: None)
    monkeypatch.setattr(up.supervise, "beginnings", lambda _: {"web": 1})
    answers = iter([{"web": "timed out"}] * 12 + [{}])
    monkeypatch.setattr(up, "_health", lambda _: next(answers))
    never_ended = SimpleNamespace(instance=prepared, look=lambda: None, restless=lambda: [])
    up._wait_until_ready(never_ended, said.append)
    assert said and set(said) == {"still waiting for web"}


@pytest.mark.parametrize(
    ("name", "text", "now"),
    [
        ("pjsip.conf", "; ours\n[trunk-t38](+)\nt38_udptl = no\n", "; ours\n[(main-t38](+)\nt38_udptl = no\n"),
        ("pjsip_was.conf", "[(trunk-audio](+)\n[trunk-voice+](+)\n", "[(main-audio](+)\n[main-voice+](+)\n"),
        ("pjsip_own.conf", "[own](+)\n[a]\nendpoint = trunk-audio\n", "[(own](+)\n[a]\nendpoint = (main-audio\n"),
        (
            "extensions.conf",
            "[faxroom-voice](+)\nexten => 101,1,Dial(PJSIP/101@trunk-audio,60)\n",
            "[faxroom-voice](+)\nexten => 101,1,Dial(PJSIP/101@main-voice+,60)\n",
        ),
    ],
)
def test_what_was_added_to_an_endpoint_of_a_former_name_is_added_to_that_of_today(tmp_path, capsys, name, text, now):
    (tmp_path / name).write_text(text)
    asterisk._rename_endpoints(tmp_path)
    assert (tmp_path / name).read_text() == now
    assert (tmp_path / f"{name}.before").read_text() == text
    assert name in "".join(capsys.readouterr())


def test_what_was_added_to_the_endpoints_of_today_is_left_alone(tmp_path, capsys):
    pjsip, extensions = "[(main-t38](+)\n[trunk](+)\n[own-pbx]\n", "exten => 101,1,Dial(PJSIP/101@main-voice+,60,i)\n"
    (tmp_path / "pjsip.conf").write_text(pjsip)
    (tmp_path / "extensions.conf").write_text(extensions)
    asterisk._rename_endpoints(tmp_path)
    assert (tmp_path / "pjsip.conf").read_text() == pjsip
    assert (tmp_path / "extensions.conf").read_text() == extensions
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.parametrize(
    ("given", "incoming", "outgoing"),
    [
        ({}, asterisk.Incoming(300, 150, 150), 300),
        ({"FAXROOM_LINE_LIMIT": "5"}, asterisk.Incoming(4, 2, 2), 4),
        ({"FAXROOM_LINE_LIMIT": "1"}, asterisk.Incoming(1, 1, 1), 1),
        ({"FAXROOM_LINE_LIMIT": "0"}, asterisk.Incoming(0, 0, 0), 0),
        ({"FAXROOM_LINE_INCOMING": "8", "FAXROOM_LINE_CALLER": "1"}, asterisk.Incoming(8, 1, 4), 300),
        ({"FAXROOM_LINE_OUTGOING": "0", "FAXROOM_LINE_CALLED": "0"}, asterisk.Incoming(300, 150, 0), 0),
    ],
)
def test_calls_in_and_out_have_shares_of_the_line(home, given, incoming, outgoing):
    assert make(home, **given).incoming == incoming
    values = {"FAXROOM_HOME": str(home), "SECRET_KEY": "a test", **given}
    assert Settings.from_environment(values).outgoing_limit == outgoing


@pytest.mark.parametrize(
    ("calls", "files", "said"),
    [
        (400, 20000, None),
        (1, 20000, None),
        (401, 20000, None),
        (8000, 99999, ["8000 calls", "UDP ports for 7404", "7404 or less."]),
        (0, 20000, ["any number of calls", "UDP ports for 400"]),
        (400, 1024, ["400 calls", "open files (1024) for 82", "82 or less", "ulimit -n"]),
        (82, 1024, None),
        (5, 100, ["for 0 only", "1 or less"]),
        (8000, None, ["UDP ports for 7404"]),
    ],
)
def test_a_limit_of_calls_beyond_ports_or_files_is_told(calls, files, said):
    text = ports.too_few(calls, files=files)
    assert text == "" if said is None else all(words in text for words in said), text


def test_what_is_too_little_for_the_trunks_is_told_with_what_was_given():
    text = ports.too_few(400, [500, 100], given=(20000, 22999), files=99999)
    assert all(words in text for words in ("channels for 600 calls", "UDP ports for 400", "FAXROOM_MEDIA_PORTS"))
    assert ports.too_few(400, [500, 100], files=99999) == ""
    assert "open files (4096) for 389" in ports.too_few(400, [500, 100], files=4096)


@pytest.mark.parametrize("sip_port", [5060, 5061, 5071])
@pytest.mark.parametrize("calls", [0, 1, 400, 401, 1333, 7404])
def test_ports_are_enough_for_the_calls_and_none_is_given_twice(sip_port, calls):
    found = ports.ports_for(calls, sip_port=sip_port)
    assert found.calls >= calls
    assert found.rtp[0] % 2 == 0 and found.rtp[0] < found.rtp[1] < found.udptl[0] < found.udptl[1] <= 65535
    assert found.rtp[0] >= 10000


def test_as_long_as_few_calls_are_wanted_the_ports_stay_where_they_were():
    assert ports.ports_for(400, sip_port=5060) == ports.Ports((22000, 22999), (23000, 24999))
    assert ports.ports_for(400, sip_port=5071) == ports.Ports((55000, 55999), (56000, 57999))
    assert ports.ports_for(401, sip_port=5060).rtp[0] == 22000


@pytest.mark.parametrize(("line", "channels", "calls"), [(400, [], 400), (400, [30, 0], 400), (400, [500, 100], 600)])
def test_the_ports_follow_the_channels_of_all_trunks(line, channels, calls):
    assert ports.calls_wanted(line, channels) == calls


def test_ports_that_an_operator_gives_are_kept(home):
    given = make(home, FAXROOM_MEDIA_PORTS="20001-20100").media_ports
    assert ports.ports_for(400, sip_port=5060, given=given) == ports.Ports((20002, 20033), (20034, 20100))
    assert make(home).media_ports is None
    settings = {"FAXROOM_HOME": str(home), "SECRET_KEY": "a test", "FAXROOM_MEDIA_PORTS": "20001-20100"}
    assert ports.read_given(Settings.from_environment(settings).media_ports) == given


@pytest.mark.parametrize("text", ["20000", "20000-", "20010-20000", "80-1000", "20000-70000", "20000-20010", "a-b"])
def test_what_are_no_ports_is_refused_with_an_example(home, text):
    with pytest.raises(SetupError, match="20000-29999"):
        make(home, FAXROOM_MEDIA_PORTS=text)


@pytest.mark.parametrize(("limits", "files"), [((1024, 4096), 4096), ((1024, 524288), 74240), ((1024, -1), 74240)])
def test_asterisk_gets_as_many_files_as_it_can_need_where_the_hard_limit_lets_it(monkeypatch, limits, files):
    monkeypatch.setattr(up.resource, "getrlimit", lambda _: limits)
    assert up._files_of_asterisk() == files == min(files, ports.MOST_FILES)


@pytest.mark.parametrize(("user", "kept"), [(0, (4096, 74240)), (1000, (4096, 4096))])
def test_root_raises_what_asterisk_may_have_at_most(monkeypatch, user, kept):
    limits = [(1024, 4096)]
    monkeypatch.setattr(up.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(up.resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    monkeypatch.setattr(up.os, "geteuid", lambda: user)
    up._take_descriptors()
    assert limits[-1] == kept


def test_the_start_reads_the_limit_of_calls_wherever_it_was_given(home, tmp_path):
    (tmp_path / "limit").write_text("900\n")
    assert make(home).line_limit == 400
    assert make(home, FAXROOM_LINE_LIMIT_FILE=str(tmp_path / "limit")).line_limit == 900
