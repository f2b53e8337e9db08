"""bin/test: what it runs, and where."""

import contextlib
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bin/lib"))
import steps
import testing


def test_the_name_of_a_room_stands_for_its_tests_on_every_floor() -> None:
    assert testing._by_room(["mail2fax"]) == ["tests/db/mail2fax", "tests/unit/mail2fax", "tests/web/mail2fax"]


def test_paths_and_what_belongs_to_an_option_are_left() -> None:
    told = ["-k", "mail2fax", "tests/web/test_translations.py", "nothing"]
    assert testing._by_room(told) == told


class Shown:
    """Instances, checks and runs of pytest that only say what they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[list[str]] = []
        shown = self

        class Instance:
            def __init__(self, home: Path, progress: object) -> None:
                pass

            def start(self) -> None: ...
            def wait(self) -> None: ...
            def stop(self) -> None: ...

            def told(self) -> dict[str, str]:
                return {}

        class Run:
            def __init__(self, name: str, arguments: list[str], *_more: object, **_options: object) -> None:
                shown.runs.append(list(arguments))

            def conclude(self, count: object) -> None: ...

        monkeypatch.setattr(testing, "_Instance", Instance)
        monkeypatch.setattr(testing, "_Pytest", Run)
        monkeypatch.setattr(testing, "_check", lambda *_: None)
        monkeypatch.setattr(testing, "_postgres", lambda *_: contextlib.nullcontext("postgresql://"))


def test_all_of_bin_test_runs_every_test_once_and_those_that_judge_a_database_on_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = Shown(monkeypatch)
    testing._run_all(tmp_path, Counter(), steps.Progress())
    alone = testing.files_without_instance()
    left_out = [f"--ignore={file}" for file in alone]
    on_sqlite = [*testing.NEEDS_DATABASE]
    on_postgres = [*testing.NEEDS_DATABASE, "-m", "not any_database"]
    wanted = [on_sqlite, on_postgres, ["tests/unit"], ["tests/live", *left_out], ["tests/browser", *left_out]]
    assert sorted(shown.runs) == sorted([*wanted, *([file] for file in alone)])


def test_a_file_that_asks_for_the_instance_of_bin_test_gets_one() -> None:
    alone = testing.files_without_instance()
    assert "tests/live/test_line.py" in alone
    assert "tests/live/test_fax.py" not in alone


def test_what_may_take_longest_by_its_own_word_is_taken_first_then_what_has_most_to_say() -> None:
    alone = testing.files_without_instance()
    assert alone[0] == "tests/live/test_drill.py"  # 164 s in one of the smallest files; it ran alone, at the end
    assert alone.index("tests/live/test_converter.py") < alone.index("tests/live/test_unheard.py")
    assert testing.longest("pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]") == 600
    assert testing.longest("pytestmark = pytest.mark.live") == 0
