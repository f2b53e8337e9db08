"""Templates of the provision file: by the rules of the page, and what the file does not name stays."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import FaxTemplate
from app.services.setup.provisioning import ProvisionError
from tests.db.setup.provisioned import applied

FILE = """
tenants:
  - {{slug: gamma, name: Gamma, serial: G1, region: IT, timezone: Europe/Rome, templates: [{{name: default{more}}}]}}
"""


def apply(session, folder: Path, more: str = "") -> FaxTemplate:
    applied(session, folder, FILE.format(more=more))
    return session.scalars(sa.select(FaxTemplate).where(FaxTemplate.name == "default")).one()


def test_dialing_rules_and_delays_are_taken_and_stay_until_the_file_names_others(session, tmp_path):
    delays = "retry_delays: {busy: 120, far_end_no_fax: null}"
    rules = "allowed_prefixes: ['+39', '0044 20'], forbidden_prefixes: ['0586'], premium_allowed: true, daily_cap: 20"
    for more in (f", {rules}, {delays}, header: Gamma", ""):
        template = apply(session, tmp_path, more)
        assert (template.allowed_prefixes, template.forbidden_prefixes) == (["+39", "+4420"], ["+390586"])
        assert (template.premium_allowed, template.daily_cap, template.header) == (True, 20, "Gamma")
        assert template.retry_delays == {"busy": 120, "far_end_no_fax": None}
    template = apply(session, tmp_path, ", allowed_prefixes: [], daily_cap: 0")
    assert (template.allowed_prefixes, template.forbidden_prefixes, template.daily_cap) == ([], ["+390586"], 0)


def test_a_new_one_dials_no_premium_number(session, tmp_path):
    template = apply(session, tmp_path)
    assert (template.premium_allowed, template.allowed_prefixes, template.daily_cap) == (False, [], 0)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("allowed_prefixes: [all]", "allowed_prefixes: “all” is not the start of a number."),
        ("forbidden_prefixes: ['+39'], allowed_prefixes: ['050']", "+39050 is both allowed and forbidden."),
        ("daily_cap: -1", "daily_cap: Enter a whole number from 0 to 100000."),
        ("max_attempts: 51", "max_attempts: Enter a whole number from 1 to 50."),
        ("retry_delays: {busy: 100000}", "delay_busy: Enter seconds from 0 to 86400"),
        ("retry_delays: {unallocated: 60}", "templates.0.retry_delays.unallocated"),
    ],
)
def test_what_no_page_would_take_is_a_fault_and_nothing_is_applied(session, tmp_path, more, told):
    with pytest.raises(ProvisionError) as error:
        apply(session, tmp_path, f", {more}")
    assert told in str(error.value)
    assert session.scalar(sa.select(FaxTemplate.id)) is None
