"""Has Asterisk read the trunks as the operator has set them, and says which version it has read."""

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from redis import RedisError

from app.adapters.telephony.ari import Ari
from app.application import settings
from app.jobs.sending.dispatch import let_asterisk_read
from app.queues import enqueue_once
from app.rules.sending.trunks.fields import FILE, MODULES, TrunkFields, entrance_secret, file_text, version_of
from app.rules.sending.trunks.ports import MEDIA_FILES, calls_wanted, ports_for, read_given
from app.rules.sending.trunks.table import told as told_trunks
from app.services.trunks.reading import ask_to_read, note_read, versions_read, who_dials
from tenants.db import db, only_reading

log = logging.getLogger(__name__)


class TrunkTelling:
    """Of one Asterisk. ``read`` are the versions that it has read, by name, since it runs: ``since``."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.since: datetime | None = None  # None: who was killed before may have written and not said so
        self.read: dict[str, str] = {}
        self._awaited: set[bytes] | None = None  # who has looked before we took back what changes

    def begin_anew(self) -> None:
        self.since, self.read, self._awaited = None, {}, None

    def tell(self) -> None:
        """Where Asterisk reads it at its next start as well. A running call keeps the endpoint that it began with."""
        with only_reading():
            trunks = told_trunks(db.session)
            db.session.rollback()
        wanted = {trunk.name: version_of(trunk, settings().secret_key) for trunk in trunks or []}
        if trunks is not None and (news := _news(_files_of(trunks))):
            if not self._nobody_dials_by_what_changes(wanted):
                ask_to_read()  # again in a moment
                return
            _write_down(news)
            self.since = None
        if self.since is None:
            since = self.line.ping()
            self.line.read_anew((*MODULES, *MEDIA_FILES) if settings().own_asterisk else MODULES)
            self.since = since
        # also where what was taken back is as before again, and Asterisk has had nothing to read
        self.read, self._awaited = wanted, None
        if versions_read(self.line.node, self.since) != self.read:
            with suppress(RedisError):  # said at the next look
                note_read(self.line.node, self.since, self.read)
            enqueue_once("dispatch")

    def _nobody_dials_by_what_changes(self, wanted: dict[str, str]) -> bool:
        """Nobody begins to, from here on."""
        stays = {name: version for name, version in self.read.items() if wanted.get(name) == version}
        if stays != self.read:  # more than was taken back before: others may have looked since then
            self.read, self._awaited = stays, None
        try:
            note_read(self.line.node, self.since or self.line.ping(), self.read)
            dialling = who_dials(self.line.node)
        except RedisError as error:  # without it no job runs that dials
            log.warning("nobody is waited for who dials: %s", error)
            dialling = set()
        self._awaited = dialling if self._awaited is None else self._awaited & dialling
        if self._awaited:
            return False
        self._awaited = None
        return True


def _files_of(trunks: list[TrunkFields]) -> dict[str, str]:
    """What Asterisk reads of the trunks, and of the ports for their calls where it is ours."""
    told = settings()
    calls = calls_wanted(told.line_limit, [trunk.channels for trunk in trunks])
    ports = ports_for(calls, sip_port=told.sip_port, given=read_given(told.media_ports))
    entrance = entrance_secret(told.ari_password) if told.entrance_port else ""
    files = {FILE: file_text(trunks, sip_port=told.sip_port, entrance=entrance)}
    return files | ports.files() if told.own_asterisk else files


def _news(files: dict[str, str]) -> dict[Path, str]:
    """What does not stand in the spool like that."""
    found = {settings().spool / name: text for name, text in files.items()}
    return {file: text for file, text in found.items() if not file.exists() or file.read_text() != text}


def _write_down(news: dict[Path, str]) -> None:
    for file, text in news.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(text)
        let_asterisk_read(new)
        new.replace(file)
