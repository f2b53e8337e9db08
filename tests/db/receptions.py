"""Calls that brought pages, without a line."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from app.adapters.fax_files.fax_tiff import encode, write_pages
from app.errors import TemporaryFailure
from app.jobs.receiving import receive
from app.rules.sending.results import CallFacts
from tenants.db import db

CHANNEL, CALLER, CALLED = "1795383441.9", "0501234567", "+390509655637"
ANSWERED = 1584010298.0  # 12/03/2020 11:51:38 in Rome


@dataclass
class Phone:
    """The line as the import sees it; ``down`` is an Asterisk that does not answer."""

    node: str = "asterisk"
    forgotten: list[str] = field(default_factory=list)
    down: bool = False

    def forget(self, channel_ids: list[str], *, family: str) -> None:
        if self.down:
            raise TemporaryFailure("line_down")
        assert family == "faxin"
        self.forgotten += channel_ids


def came(spool: Path, *, pages: int = 1, channel_id: str = CHANNEL) -> Path:
    """What Asterisk leaves when a call is over."""
    ink = np.zeros((200, 1728 // 8), np.uint8)
    ink[50:60] = 0xFF
    path = spool / f"{channel_id}.tif"
    write_pages(path, [encode(ink.tobytes(), rows=200, dots_down=196)] * pages, total=pages)
    return path


def told(outcome: str = "success", *, pages: int = 1, channel_id: str = CHANNEL, **changes: object) -> None:
    """The job, as the listener enqueues it."""
    facts = {"answered_at": ANSWERED, "ended_at": ANSWERED + 34, **changes.pop("facts", {})}
    db.session.rollback()  # the test's own transaction would hold up the job's
    call = {"called": CALLED, "caller": CALLER, **changes}
    receive.import_received(
        channel_id, call["called"], call["caller"], CallFacts(outcome, pages=pages, **facts).to_json()
    )
