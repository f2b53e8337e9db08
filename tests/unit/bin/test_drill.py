"""The drill's own eyes: a ledger that cannot see harm would find none."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from app.adapters.pages.rasterizer import rasterize
from app.models import Document
from app.web.faxes.send import SendForm
from bench.drilling import codes
from bench.drilling.codes import Code
from bench.drilling.faults import FAULTS, KILLED, SPARE_BYTES, fixed_memory
from bench.drilling.ledger import Call, Given, Told, Tried, judge
from bench.drilling.people import known_as
from bench.drilling.plan import plan
from bench.drilling.portal import control_groups

FAR = "+390500000001"


def arrived(fax: int, *pages: int, of: int = 2, number: str = FAR) -> Call:
    return Call(number, tuple(Code(fax, page, of) for page in pages))


def told(status: str = "sent", *, id: str = "A", cause: str | None = None, broken_off: int = 0, mails=("<a>",)) -> Told:
    known = {"submission": f"form of {id}", "attempts": 1}
    return Told(id=id, status=status, cause=cause, broken_off=broken_off, mails=mails, **known)


def verdict(*calls: Call, by: Told | None = None, delivered: Counter[str] | None = None):
    mails = Counter({"<a>": 1}) if delivered is None else delivered
    return judge([Given(1, 2, FAR, "A")], [by or told()], calls, mails)


@pytest.mark.parametrize("resolution", ["fine", "standard"])
def test_a_code_is_read_again_from_the_dots_of_the_line(tmp_path, resolution):
    source, target = tmp_path / "code.pdf", tmp_path / "code.tif"
    source.write_bytes(codes.pdf(40123, 3))
    rasterize(source, target, resolution=resolution)
    with Image.open(target) as tiff:
        read = []
        for page in range(tiff.n_frames):
            tiff.seek(page)
            read.append(codes.read(tiff))
    assert read == [Code(40123, page, 3) for page in (1, 2, 3)]


def test_a_page_without_a_code_is_none():
    assert codes.read(Image.new("1", (1728, 2292), 1)) is None
    assert codes.read(Image.effect_noise((1728, 2292), 200).convert("1")) is None


def test_what_came_in_one_call_or_in_the_rest_of_another_is_one_fax():
    for calls in ([arrived(1, 1, 2)], [arrived(1, 1), arrived(1, 2)], [arrived(1, 1), arrived(1, 1, 2)]):
        found = verdict(*calls)
        assert (found.arrived, found.twice, found.broken) == (1, 0, [])


def test_a_fax_that_came_whole_in_two_calls_was_sent_twice():
    found = verdict(arrived(1, 1, 2), arrived(1, 1, 2))
    assert found.twice == 1
    assert found.broken == ["fax 1 (A) arrived 2 times, in 1 attempts; it is sent"]


def test_one_that_came_again_because_its_call_was_cut_before_the_confirmation_is_counted_and_no_silent_harm():
    calls = arrived(1, 1, 2), arrived(1, 1, 2)
    found = verdict(*calls, by=told(broken_off=1))
    assert (found.twice, found.twice_told, found.broken) == (1, 1, [])
    assert verdict(*calls, arrived(1, 1, 2), by=told(broken_off=1)).broken


@pytest.mark.parametrize(
    ("calls", "by", "delivered", "said"),
    [
        ([arrived(1, 1)], told(), None, "fax 1 (A) is sent, and did not arrive whole"),
        ([arrived(1, 1, 2)], told(id="B"), None, "fax 1 (A) was accepted and is gone"),
        ([], told("retrying"), None, "fax 1 (A) is still retrying"),
        ([], told("failed", cause="damaged"), None, "fax 1 (A) is called damaged, and is sound"),
        ([], told("unknown", mails=()), None, "fax 1 (A) is unknown with 0 mails about it"),
        ([], told("failed"), Counter(), "the mail about fax 1 (A) never came"),
        ([arrived(1, 1, 2, number="+4930")], told(), None, "fax 1 arrived at +4930, where nobody sent it"),
        ([arrived(1, 1, 2), arrived(2, 1)], told(), None, f"fax 2 arrived at {FAR}, where nobody sent it"),
    ],
)
def test_each_harm_is_told(calls, by, delivered, said):
    assert said in verdict(*calls, by=by, delivered=delivered).broken


def tried(*calls: Call, submission: str, by: Told | None = None):
    """Fax 1 was seen accepted, fax 2 was handed in and given up."""
    known, mails = [told(), *([by] if by else [])], Counter({"<a>": 1, "<b>": 1})
    handed_in = [Tried(2, 2, FAR, submission, "no answer")]
    return judge([Given(1, 2, FAR, "A")], known, [arrived(1, 1, 2), *calls], mails, handed_in)


def test_a_fax_that_was_taken_and_whose_answer_was_lost_is_counted_apart():
    found = tried(arrived(2, 1, 2), submission="form of B", by=told(id="B", mails=("<b>",)))
    assert (found.accepted, found.unseen, found.arrived, found.outcomes["sent"]) == (1, 1, 1, 1)
    assert found.broken == []


def test_a_fax_whose_answer_was_lost_is_judged_like_any_other():
    found = tried(submission="form of B", by=told(id="B", mails=("<b>",)))
    assert found.broken == ["fax 2 (B) is sent, and did not arrive whole"]


def test_a_fax_that_was_never_taken_is_told_and_may_not_arrive():
    assert tried(submission="another").broken == ["fax 2 was not accepted: no answer"]
    assert f"fax 2 arrived at {FAR}, where nobody sent it" in tried(arrived(2, 1), submission="").broken
    assert "B was entered, and nobody had sent it" in tried(submission="", by=told(id="B", mails=("<b>",))).broken


def test_a_mail_that_came_again_is_counted_by_its_message_id():
    found = verdict(arrived(1, 1, 2), delivered=Counter({"<a>": 2}))
    assert (found.mails, found.mails_again, found.broken) == (1, 1, [])


def planned(seed: int):
    names, to_kill = list(FAULTS), list(KILLED)
    return plan(seed, faxes=100, kills=2 * len(to_kill), faults=len(names), names=names, to_kill=to_kill)


def test_a_plan_is_made_by_its_seed_alone_and_leaves_nothing_out():
    assert planned(7) == planned(7) != planned(8)
    done = Counter(event.name for event in planned(7))
    assert done == dict.fromkeys(FAULTS, 1) | {f"kill {name}": 2 for name in KILLED}
    assert sum(len(event.faxes) for event in planned(7)) == 100


HOLD = """import mmap, os, sys
kept = mmap.mmap(-1, 30 << 20); kept.write(b"x" * (30 << 20))
with open(sys.argv[1], "wb") as file:
    file.write(b"x" * (80 << 20))
print("here", flush=True); sys.stdin.read()
"""


def test_memory_becomes_scarce_also_where_much_of_it_lies_on_a_tmpfs(tmp_path):
    group = control_groups(f"test-{os.getpid()}").get("memory")
    if group is None:
        pytest.skip("no control groups here")
    file = Path(f"/dev/shm/drill-{os.getpid()}")
    enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "--"]
    held = subprocess.Popen([*enter, sys.executable, "-c", HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout.readline() == b"here\n"
        with FAULTS["memory scarce"].breaking(SimpleNamespace(portal=SimpleNamespace(groups={"memory": group}))):
            limit = next(path for name in ("memory.max", "memory.limit_in_bytes") if (path := group / name).exists())
            assert fixed_memory(group) < int(limit.read_text()) <= fixed_memory(group) + 2 * SPARE_BYTES
            assert fixed_memory(group) > 110 << 20
            assert held.poll() is None
    finally:
        held.kill()
        held.communicate()
        file.unlink(missing_ok=True)
        for one in control_groups(f"test-{os.getpid()}").values():
            one.rmdir()


def test_a_form_whose_answer_was_lost_is_known_as_the_portal_knows_it():
    form = {"csrf_token": "x", "submission": "a form", "entity": "7", "to": FAR, "send_at": ""}
    sent = SendForm(**{name: value for name, value in form.items() if name != "csrf_token"})
    assert known_as(form, b"a page") == sent.key(Document(sha256=hashlib.sha256(b"a page").hexdigest()))
