"""Asks Asterisk for the state of its trunks, and writes it down (:mod:`app.services.trunks.states`)."""

import time
from collections.abc import Callable

from app.adapters.telephony.ari import Ari, Registration
from app.queues import enqueue
from app.rules.ground.trunks import enabled
from app.rules.sending.trunks.fields import LOOP_HOST, TrunkFields
from app.rules.sending.trunks.table import fields_of
from app.services.receiving.line_events import RegistrationsTold, TrunkTold
from app.services.trunks.states import (
    REACHABLE,
    REGISTERED,
    UNREACHABLE,
    UNREGISTERED,
    TrunkState,
    note_states,
    seen_now,
    states,
)
from tenants.db import db, only_reading, utc_now

ASK_SECONDS = 10.0
_ANSWERS = {REACHABLE: True, UNREACHABLE: False}


class TrunkWatch:
    """``answer_to`` gives what was said last to the registration of an account."""

    def __init__(self, line: Ari, answer_to: Callable[[str], str]) -> None:
        self.line, self.answer_to = line, answer_to
        self.told: dict[str, TrunkTold] = {}
        self.left: dict[str, int] = {}
        self.misses_registration = False
        self._asked = float("-inf")
        self._listens_on: str | None = None  # None: not asked yet

    def hear(self, told: TrunkTold | RegistrationsTold) -> None:
        if isinstance(told, RegistrationsTold):
            self.left = told.seconds
        else:
            self.told[told.name] = told

    def begin_anew(self) -> None:
        self.told, self.left, self._asked = {}, {}, float("-inf")
        self._listens_on = None

    def step(self) -> None:
        now = time.monotonic()
        if now - self._asked < ASK_SECONDS:
            return
        self._asked = now
        with only_reading():
            trunks = [fields_of(trunk) for trunk in enabled(db.session)]
            db.session.rollback()
        self.line.ask_trunks([f"{trunk.name}-health" for trunk in trunks])
        if self._listens_on is None:
            self._listens_on = self.line.listens_on()
        registrations = {one.name: one for one in self.line.registrations()}
        before, seen = states(), utc_now().timestamp()
        found = [
            seen_now(before.get(trunk.name), self._state(trunk, seen, registrations.get(trunk.name)))
            for trunk in trunks
        ]
        note_states(found)
        self.misses_registration = any(state.registration not in (None, REGISTERED) for state in found)
        if {state.name: state.fault for state in found} != {name: state.fault for name, state in before.items()}:
            enqueue("watch")

    def _state(self, trunk: TrunkFields, seen: float, registration: Registration | None) -> TrunkState:
        """One that is to register, and of whose registration Asterisk knows nothing, is not registered."""
        told = self.told.get(f"{trunk.name}-health")
        is_registered = registration is not None and registration.status == REGISTERED
        milliseconds = told.microseconds / 1000 if told and told.microseconds is not None else None
        return TrunkState(
            name=trunk.name,
            seen=seen,
            registration=registration.status if registration else UNREGISTERED if trunk.registers else None,
            ends_in=self.left.get(registration.name) if registration and is_registered else None,
            answer=self.answer_to(registration.account) if registration else "",
            answers=_ANSWERS.get(told.status) if told else None,
            milliseconds=milliseconds,
            is_shut_in=self._listens_on == LOOP_HOST and trunk.goes_out_by_udp,
        )
