"""The operator's dialing policy: what nobody on this installation may dial, and calls that go on to telephones."""

from dataclasses import asdict, dataclass
from typing import Any

import phonenumbers
from babel import Locale
from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.rules.audit.auditing import audit
from app.rules.numbers.policy import MOST_VOICE, Policy, policy_of, set_policy
from app.rules.sending.called import numbers_with_lines, set_lines
from app.web.people.credentials import Errors, said, said_all
from app.web.site.administration import operators_only
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import overtaken, stamp_of
from app.whole_numbers import read_whole
from tenants.db import db
from tenants.languages import LANGUAGES

blueprint = Blueprint("operator_dialing", __name__, url_prefix="/operator/dialing")

MOST_TEXT = 5_000
FLAGS = ("premium_allowed", "satellite_allowed", "redirects_followed")


blueprint.before_request(operators_only)


@dataclass(frozen=True)
class PolicyForm:
    """As typed."""

    countries: str = ""
    premium_allowed: bool = False
    satellite_allowed: bool = False
    redirects_followed: bool = False
    voice_per_line: str = ""
    voice_per_company: str = ""
    voice_minutes: str = ""

    @classmethod
    def read(cls, policy: Policy) -> "PolicyForm":
        """A number that the form does not have stays as it is."""
        flags: dict[str, Any] = {name: name in request.form for name in FLAGS}
        counts: dict[str, Any] = {
            name: request.form.get(name, str(getattr(policy, name))).strip()[:10] for name in MOST_VOICE
        }
        return cls(request.form.get("countries", "")[:MOST_TEXT], **flags, **counts)

    @classmethod
    def of(cls, policy: Policy) -> "PolicyForm":
        names = _names()
        countries = "\n".join(names.get(code, code) for code in policy.countries)
        others = {name: getattr(policy, name) for name in FLAGS} | {
            name: str(getattr(policy, name)) for name in MOST_VOICE
        }
        return cls(countries, **others)

    def judge(self) -> tuple[Policy, Errors]:
        """What is wanted, and what is wrong by field."""
        errors: dict[str, Any] = {}
        counts: dict[str, Any] = {}
        countries: tuple[str, ...] = ()
        try:
            countries = _read_countries(self.countries)
        except Refused as refusal:
            errors["countries"] = said(refusal)
        for name, most in MOST_VOICE.items():
            count = read_whole(getattr(self, name), least=1, most=most)
            if count is not None:
                counts[name] = count
            else:
                errors[name] = said(Refused("policy_count", field=name, limit=most))
        return Policy(countries, **{name: getattr(self, name) for name in FLAGS}, **counts), errors


def _names() -> dict[str, str]:
    territories = Locale.parse(str(get_locale())).territories
    return {code: territories.get(code, code) for code in sorted(phonenumbers.SUPPORTED_REGIONS)}


def _read_countries(text: str) -> tuple[str, ...]:
    """Names in either language, or codes; one on each line, or with commas between.

    Raises:
        Refused: ``country_unknown``.
    """
    known = {code.casefold(): code for code in phonenumbers.SUPPORTED_REGIONS}
    for language in LANGUAGES:
        territories = Locale.parse(language).territories
        known |= {territories[code].casefold(): code for code in phonenumbers.SUPPORTED_REGIONS if code in territories}
    found: dict[str, None] = {}
    for entry in text.replace(";", "\n").replace(",", "\n").splitlines():
        typed = " ".join(entry.split())
        if not typed:
            continue
        if typed.casefold() not in known:
            raise Refused("country_unknown", field="countries", typed=typed[:40])
        found[known[typed.casefold()]] = None
    return tuple(sorted(found))


@blueprint.route("", methods=["GET", "POST"])
def policy() -> Response:
    before = policy_of(db.session, to_change=request.method not in SAFE_METHODS)
    if request.method in SAFE_METHODS:
        return _page(PolicyForm.of(before), {})
    form = PolicyForm.read(before)
    wanted, errors = form.judge()
    errors |= said_all(overtaken(asdict(before), asdict(wanted)))
    if errors:
        return _page(form, errors)
    if wanted != before:
        set_policy(db.session, wanted)
        changes = {name: (getattr(before, name), getattr(wanted, name)) for name in vars(wanted)}
        differs = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
        audit(
            db.session,
            user=current_user,
            tenant_id=None,
            action="policy.changed",
            target="Faxroom",
            before={name: _kept(pair[0]) for name, pair in differs.items()},
            after={name: _kept(pair[1]) for name, pair in differs.items()},
            remote_address=request.remote_addr,
        )
    db.session.commit()
    flash(_("Saved. Applies from the next call on."), "info")
    return redirect(url_for("operator_dialing.policy"), 303)


def _kept(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class LinesForm:
    """As typed: a number, and how many calls it takes at once."""

    number: str = ""
    lines: str = ""


@blueprint.post("/numbers")
def number_lines() -> Response:
    form = LinesForm(request.form.get("number", "").strip()[:40], request.form.get("lines", "").strip()[:10])
    try:
        number, before, after = set_lines(db.session, form.number, form.lines)
    except Refused as refusal:
        return _page(PolicyForm.of(policy_of(db.session)), {str(refusal.field): said(refusal)}, lines=form)
    if before != after:
        audit(
            db.session,
            user=current_user,
            tenant_id=None,
            action="policy.changed",
            target=number,
            before={"lines": before},
            after={"lines": after},
            remote_address=request.remote_addr,
        )
    db.session.commit()
    flash(_("Saved. Applies from the next call on."), "info")
    return redirect(url_for("operator_dialing.policy"), 303)


def _page(form: PolicyForm, errors: Errors, *, lines: LinesForm | None = None) -> Response:
    numbers = numbers_with_lines(db.session)
    values = {"form": form, "errors": errors, "lines": lines or LinesForm(), "numbers": numbers}
    page = render_template("operator/dialing.html", **values, stamp=stamp_of(asdict(policy_of(db.session))))
    return make_response(page, 422 if errors else 200)
