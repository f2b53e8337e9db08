"""``bin/faxroom --help``: a heading and one line for each command."""

import click
import pytest
from click.testing import CliRunner

from app import cli
from app.command_line import LINES, SECTIONS, command_line


@pytest.fixture
def said() -> str:
    answer = CliRunner().invoke(command_line, ["--help"], prog_name="bin/faxroom", terminal_width=80)
    assert answer.exit_code == 0
    return answer.output


def test_every_command_has_a_place_and_no_other_is_named() -> None:
    named = [name for names in SECTIONS.values() for name in names]
    assert sorted(named) == sorted([*(command.name or "" for command in cli.COMMANDS), *LINES])


@pytest.mark.parametrize("name", [name for names in SECTIONS.values() for name in names])
def test_each_command_has_one_whole_line(said: str, name: str) -> None:
    lines = [line for line in said.splitlines() if line.startswith(f"  {name} ")]
    assert len(lines) == 1
    assert lines[0].endswith(".") and not lines[0].endswith("..."), lines


def test_it_is_ours_and_says_nothing_of_flask(said: str) -> None:
    assert said.startswith("Usage: bin/faxroom ")
    assert "flask" not in said.lower()
    assert all(f"\n{heading}:\n" in said for heading in SECTIONS)


def test_help_of_a_command_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a secret of the tests")
    answer = CliRunner().invoke(command_line, ["send", "-h"], prog_name="bin/faxroom")
    assert answer.output.startswith("Usage: bin/faxroom send [OPTIONS] FILE")


def test_a_command_that_does_not_exist_is_refused() -> None:
    answer = CliRunner().invoke(command_line, ["nonsense"], prog_name="bin/faxroom")
    assert answer.exit_code == 2
    assert isinstance(command_line, click.Group)
