"""bin/up, bin/test, bin/faxroom: what can be judged without starting anything."""

import configparser
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from app.config import Settings
from app.provisioning import read_provision_file

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bin/lib"))
import environment  # noqa: E402 - the set-up's own modules
import instance as instances  # noqa: E402
import mailboxes  # noqa: E402
import packages  # noqa: E402
import processes  # noqa: E402
import shell  # noqa: E402
import steps  # noqa: E402
import supervise  # noqa: E402
import testing  # noqa: E402
import up  # noqa: E402
from shell import SetupError  # noqa: E402


def make(home: Path, **environment_: str) -> instances.Instance:
    return instances.read_instance(ROOT, {"FAXROOM_HOME": str(home), **environment_})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return Path(tmp_path, "h")


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
    ours = ["jobs-line", "jobs", "line", "clock", "collect", "web"]
    assert names == ["redis", "mail", "asterisk", "office", "office_2", *ours]
    outside = dict.fromkeys(("REDIS_URL", "UNOSERVER_URL", "ARI_URL", "SMTP_URL"), "x")
    lean = make(prepared.home, FAXROOM_JOBS="1", **outside)
    assert [program.name for program in supervise.programs(lean, ports)] == ["jobs", "line", "clock", "collect", "web"]


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
    assert lines[0].endswith("wsgi.py faxes a b")
    assert {"SECRET_KEY_FILE=/s", "MAIL_FROM=Fax $(date) <a@b>", "X=a=b"} <= set(lines)


def test_the_command_line_does_not_override_what_is_set(prepared: instances.Instance, faxroom) -> None:
    instances.write_environment(prepared, {"SECRET_KEY_FILE": "/s", "SMTP_URL": "smtp://kept"})
    lines = faxroom(SECRET_KEY="mine", SMTP_URL="")
    assert "SECRET_KEY=mine" in lines
    assert not [line for line in lines if line.startswith("SECRET_KEY_FILE=")]
    assert "SMTP_URL=smtp://kept" in lines


# ---- supervisord


def configuration(instance: instances.Instance) -> configparser.RawConfigParser:
    table = supervise.programs(instance, instances.private_ports(instance.home))
    parser = configparser.RawConfigParser()
    parser.read(supervise.write_configuration(instance, table))
    return parser


def test_every_process_ends_with_its_parent_and_is_started_again(prepared: instances.Instance) -> None:
    parser = configuration(prepared)
    programs = [parser[name] for name in parser.sections() if name.startswith("program:")]
    assert len(programs) == 11
    for program in programs:
        assert program["command"].startswith("setpriv --pdeathsig TERM -- /")
        assert program["autorestart"] == "true"
        assert program["killasgroup"] == "true"


def test_our_own_processes_wait_for_the_database_and_others_do_not(prepared: instances.Instance) -> None:
    parser = configuration(prepared)
    waiting = {name for name in parser.sections() if parser.get(name, "autostart", fallback="") == "false"}
    assert waiting == {
        "program:jobs-line",
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

    begin = time.monotonic()
    with pytest.raises(steps.StepFailed):
        steps.Progress().together(fail, lambda: time.sleep(2))
    assert time.monotonic() - begin < 1


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


def test_processes_below_processes_are_found() -> None:
    outer = subprocess.Popen(["sh", "-c", "sleep 30 & wait"])
    try:
        deadline = time.monotonic() + 5
        while len(below := processes.descendants(outer.pid)) < 1 and time.monotonic() < deadline:
            time.sleep(0.02)
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
