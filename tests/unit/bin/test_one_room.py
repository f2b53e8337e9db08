"""bin/test takes the name of a room."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "bin/lib"))
import testing


def test_the_name_of_a_room_stands_for_its_tests_on_every_floor() -> None:
    assert testing._by_room(["mail2fax"]) == ["tests/db/mail2fax", "tests/unit/mail2fax", "tests/web/mail2fax"]


def test_paths_and_what_belongs_to_an_option_are_left() -> None:
    told = ["-k", "mail2fax", "tests/web/test_translations.py", "nothing"]
    assert testing._by_room(told) == told
