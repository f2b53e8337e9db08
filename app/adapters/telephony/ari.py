"""Asterisk's REST interface (ARI): a small typed client on httpx and websockets.

Calls are placed straight into our dialplan (``asterisk/extensions.conf``), which completes them without the portal.
What this module reads from Asterisk is handed on as it is; :mod:`app.services.receiving.line_events` gives it meaning.
Source: Asterisk 22, rest-api/api-docs.
"""

import contextlib
import json
import logging
import re
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from app.adapters.servers.within import context
from app.adapters.telephony.hep import Ear
from app.dialled import DIAL_STRING, TRUNK_NAME, VOICE_DESTINATION, WIRE_NUMBER, t38_of
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure
from app.whole_numbers import read_whole

log = logging.getLogger(__name__)

APP = "faxroom"
#: Somebody else has begun to listen as the same application.
REPLACED = "ApplicationReplaced"
#: Everything else that a telephone system has to tell is not for us.
EVENTS = ("StasisStart", "ChannelDestroyed", "ChannelUserevent", "Dial", REPLACED)
SECONDS = 10.0
CONNECT_SECONDS = 3.0
PING_SECONDS = 3.0
#: A stream on which nothing comes is asked so often whether it still lives, and has as long to answer as a machine may
#: need that places sixty calls at once.
STREAM_SECONDS = 5.0
STREAM_ANSWER_SECONDS = 8.0
AT_ONCE = 10
LONGEST_PAUSE = 5.0
MOST_FOLLOWED = 40

CHANNEL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
#: Whose a shared line is: company and line.
WHOSE = re.compile(r"[0-9]{1,10}-[0-9]{1,10}")
#: A line as it is dialled, without + and 00.
_LINE_DIGITS = re.compile(r"[0-9*]{1,28}")
LINES_AT_ONCE = 50  # a variable of the dialplan holds 4,095 characters
#: What a text may not hold that goes through Set() and SendFAX(): separators, substitutions, line breaks.
_UNSAFE = re.compile(r"[^\w .+\-:/()&@#*'!?]|[\r\n]", re.ASCII)
#: So many events are handed on together, if they are there.
MOST_EVENTS = 100
#: HTTP's answers to who has the wrong name or password.
_NOT_LET_IN = (401, 403)
_MANAGER_FIELD = re.compile(r"^([A-Za-z0-9]+): (.*?)\r?$", re.MULTILINE)
#: The file in the spool is named after the channel.
_OUR_FILE = re.compile(r"\S*/(?P<channel>fax-[A-Za-z0-9-]+)\.tif")


@dataclass(frozen=True)
class OutgoingCall:
    """One call to place. ``file`` is a fax TIFF that Asterisk can read; times are in seconds, ``max_rate`` in bit/s,
    ``packet`` is milliseconds of sound in one packet of RTP.

    ``not_after`` is a Unix time: answered later than that, the call sends nothing (the portal has given it up).
    ``trunk`` is the name of the one that it goes over, ``wire`` the number as that one writes it where that is not as
    we do.
    """

    channel_id: str
    number: str
    file: str
    station_id: str
    caller_number: str
    ecm: bool
    max_rate: int
    t38: bool
    ring_seconds: int
    max_seconds: int
    not_after: int
    packet: int = 20
    trunk: str = "main"
    wire: str = ""

    @property
    def _endpoint(self) -> str:
        """An extension without a public number never leaves this Asterisk. Why the names begin with a bracket says
        ``asterisk/pjsip.conf``."""
        if "*" in self.number:
            return "(own"
        return f"({t38_of(self.trunk)}" if self.t38 else f"({self.trunk}-audio"

    def body(self) -> dict[str, Any]:
        """The JSON of ``POST /channels``.

        Raises:
            PermanentFailure: ``number_refused``: the number is not of the strict grammar, or an id or path is odd.
        """
        wire_fits = not self.wire or WIRE_NUMBER.fullmatch(self.wire)
        names_fit = TRUNK_NAME.fullmatch(self.trunk) and CHANNEL_ID.fullmatch(self.channel_id)
        if not DIAL_STRING.fullmatch(self.number) or not wire_fits or not names_fit:
            raise PermanentFailure("number_refused", number=self.number)
        if any(character in self.file for character in ",&;|\n"):
            raise PermanentFailure("file_refused", file=self.file)
        return {
            "endpoint": f"PJSIP/{self.wire or self.number}@{self._endpoint}",
            "context": "faxroom-send",
            "extension": "s",
            "priority": 1,
            "callerId": _plain(self.caller_number),
            "timeout": self.ring_seconds,
            "variables": {
                "CHANNEL(hangup_handler_push)": "faxroom-sent,s,1",
                "FAX_FILE": self.file,
                "FAX_STATION": _plain(self.station_id),
                "FAX_ECM": _yes(self.ecm),
                "FAX_RATE": str(self.max_rate),
                "FAX_MODEMS": _modems(self.max_rate),
                "FAX_T38": _yes(self.t38),
                "FAX_MAX_SECONDS": str(self.max_seconds),
                "FAX_NOT_AFTER": str(self.not_after),
                "PJSIP_MEDIA_OFFER(audio)": f"alaw:{self.packet},ulaw:{self.packet}",
            },
        }


@dataclass(frozen=True)
class Receiving:
    """How a fax may come in; ``max_rate`` in bit/s."""

    ecm: bool
    max_rate: int
    t38: bool

    @property
    def told(self) -> str:
        """As ``asterisk/extensions.conf`` reads it."""
        fastest = _modems(self.max_rate).partition(",")[0]
        return f"*{_yes(self.ecm)}*{fastest}*{_yes(self.t38)}"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _modems(max_rate: int) -> str:
    """The modulations of ITU-T T.30 up to a rate: spandsp goes by them and not by Asterisk's maxrate."""
    slowest_limit = {"v17": 12000, "v29": 7200, "v27": 0}
    return ",".join(name for name, limit in slowest_limit.items() if limit <= max_rate)


def _plain(text: str) -> str:
    return _UNSAFE.sub(" ", text).strip()


@dataclass(frozen=True)
class FaxProgress:
    """A fax on the line, as Asterisk's session of it tells. ``pages`` were confirmed so far; ``rate`` in bit/s.

    ``session`` is its number in this Asterisk. ``began``: the two machines have understood each other (T.30: DIS and
    DCS), so that it is known what a page will be; from then on ``ecm`` is what they agreed on.
    """

    file: str
    pages: int
    rate: int
    began: bool
    session: int = 0
    ecm: bool | None = None


@dataclass(frozen=True)
class Registration:
    """At a carrier: ``name`` is its section in pjsip.conf, ``account`` such as ``sip:joe@example.org``, ``status`` a
    word of res_pjsip_outbound_registration."""

    name: str
    account: str
    status: str


@dataclass(frozen=True)
class Connected:
    """The event stream has (again) begun: what happened before may have been missed."""


@dataclass(frozen=True)
class Disconnected:
    """The event stream has ended, or could not begin; another attempt follows."""


class Ari:
    """One Asterisk. ``node`` names it in attempts. Safe to use from several threads."""

    def __init__(self, url: str, user: str, password: str, *, node: str = "asterisk") -> None:
        self.node = node
        self._url = url.rstrip("/")
        self._auth = (user, password)
        self._http: httpx.Client | None = None

    @property
    def _client(self) -> httpx.Client:
        """Made on first use: a worker that forks must not share its parent's connections."""
        if self._http is None:
            limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=20)
            base = f"{self._url}/ari"
            seconds = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
            self._http = httpx.Client(
                base_url=base, auth=self._auth, timeout=seconds, limits=limits, trust_env=False, verify=context()
            )
        return self._http

    def _ask(self, method: str, path: str, *, expected: tuple[int, ...] = (), **arguments: Any) -> httpx.Response:
        """One request. What is about this machine, and not about the call, is temporary: Asterisk is not there, is
        starting, has no thread or memory left (5xx), or does not know us (401, 403).

        Raises:
            TemporaryFailure: ``line_down``. ``certain`` tells whether Asterisk certainly did nothing, ``no_channel``
                that it could make none for this call.
            PermanentFailure: ``line_refused``: it got it and will not do it.
        """
        try:
            response = self._client.request(method, path, **arguments)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TemporaryFailure("line_down", reason=str(error), certain=True) from error
        except httpx.HTTPError as error:
            raise TemporaryFailure("line_down", reason=str(error), certain=False) from error
        if _is_starting(response):
            raise TemporaryFailure("line_down", reason="Asterisk is starting", certain=True)
        if response.is_success or response.status_code in expected:
            return response
        if response.is_server_error or response.status_code in _NOT_LET_IN:
            no_channel = _has_no_channel(response)
            certain = response.status_code in _NOT_LET_IN or no_channel
            reason = f"{response.status_code} {response.text[:200]}"
            raise TemporaryFailure("line_down", reason=reason, certain=certain, no_channel=no_channel)
        raise PermanentFailure("line_refused", status=response.status_code, reason=response.text[:200])

    def ping(self) -> datetime:
        """When this Asterisk started; TemporaryFailure if it does not answer."""
        answer = self._ask("GET", "/asterisk/info", params={"only": "status"}, timeout=PING_SECONDS).json()
        return datetime.fromisoformat(answer["status"]["startup_time"])

    def clock(self) -> datetime:
        """What time it is there, to the second (RFC 9110's Date)."""
        answer = self._ask("GET", "/asterisk/info", params={"only": "status"}, timeout=PING_SECONDS)
        return parsedate_to_datetime(answer.headers["date"])

    def version(self) -> str:
        """Such as ``22.10.1~dfsg+~cs6.17.60671434-1``."""
        answer = self._ask("GET", "/asterisk/info", params={"only": "system"}, timeout=PING_SECONDS).json()
        return str(answer["system"]["version"])

    def most_files(self) -> int | None:
        """Files that it may have open; None where it does not say."""
        answer = self._ask("GET", "/asterisk/info", params={"only": "config"}, timeout=PING_SECONDS).json()
        most = answer["config"].get("max_open_files")
        return int(most) if most else None

    def originate(self, call: OutgoingCall) -> Literal["placed", "adopted"]:
        """Place a call. *adopted*: a channel with this id lives already, so it has been placed before (ARI's 409)."""
        response = self._ask("POST", f"/channels/{quote(call.channel_id)}", json=call.body(), expected=(409,))
        return "adopted" if response.status_code == httpx.codes.CONFLICT else "placed"

    def originate_many(self, calls: list[OutgoingCall]) -> list[str | FaxroomError]:
        """Place calls side by side; for each what :meth:`originate` returned or raised, in order."""

        def place(call: OutgoingCall) -> str | FaxroomError:
            try:
                return self.originate(call)
            except FaxroomError as failure:
                return failure

        _ = self._client
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(place, calls))

    def hangup(self, channel_id: str, cause: int | None = None) -> None:
        """End a call, with a Q.850 cause; one that is over already is fine."""
        why = {"reason_code": cause} if cause else {}
        self._ask("DELETE", f"/channels/{quote(channel_id)}", params=why, expected=(404,))

    def has_heard(self, channel_id: str) -> bool:
        """Whether anything has come from whom this call goes to, as little as that it tries (SIP 100); also of a call
        that is over."""
        path, asked = f"/channels/{quote(channel_id)}/variable", {"variable": "HANGUPCAUSE_KEYS()"}
        told = self._ask("GET", path, params=asked, expected=(404, 409, 500))
        return not told.is_success or bool(told.json().get("value"))

    def packets_received(self, channel_id: str) -> int | None:
        """RTP packets that the far end has sent; None where there is no RTP, or no call any more.

        ``/rtp_statistics`` does not tell for an endpoint that may do T.38, even where it does not.
        """
        path, asked = f"/channels/{quote(channel_id)}/variable", {"variable": "CHANNEL(rtcp,rxcount)"}
        text = self._ask("GET", path, params=asked, expected=(404, 500)).json().get("value", "")
        return read_whole(text)

    def refuse(self, channel_id: str, cause: int) -> None:
        """Refuse an incoming call with a Q.850 cause (1 = unallocated number), unless it has gone on without us."""
        path = f"/channels/{quote(channel_id)}"
        channel = self._ask("GET", path, expected=(404,)).json()
        if channel.get("dialplan", {}).get("app_name") == "Stasis":
            self._ask("DELETE", path, params={"reason_code": cause}, expected=(404,))

    def receive(self, channel_id: str, *, station_id: str = "", how: Receiving | None = None) -> None:
        """Have a call that waits in our application received as a fax; one that has gone is fine."""
        self._continue(channel_id, "faxroom-receive", f"+{_encoded(station_id)}{how.told if how else ''}")

    def detect(
        self, channel_id: str, *, listen_seconds: int, voice: str, whose: str = "", station_id: str = "", rings: int = 0
    ) -> None:
        """Have a call that waits in our application answered and listened to: a fax comes back to us, anything else
        goes on to ``voice`` (with "" there is nowhere to go on to, and it is a fax in the end). ``whose`` names company
        and line (``3-17``): their limits hold, and what is told of the call carries it. A telephone that nobody
        picks up within ``rings`` seconds is none: the call is a fax; 0: it rings, and is never one.

        Raises:
            PermanentFailure: ``number_refused``: the voice destination is not of the strict grammar.
        """
        _check_voice(voice, whose)
        self._continue(
            channel_id, "faxroom-detect", f"+{listen_seconds}*{voice}*{_encoded(station_id)}*{whose}*{rings}"
        )

    def _continue(self, channel_id: str, context: str, extension: str) -> None:
        """What the dialplan has to know goes with the extension. A variable set by ARI (Asterisk 22, res/stasis/
        control.c: app_control_set_channel_var) would forbid the call to write to AstDB from then on."""
        where = {"context": context, "extension": extension, "priority": 1}
        self._ask("POST", f"/channels/{quote(channel_id)}/continue", json=where, expected=(404, 409, 412))

    def channels(self) -> list[dict[str, Any]]:
        """Every live channel, as ARI describes it."""
        live: list[dict[str, Any]] = self._ask("GET", "/channels").json()
        return live

    def live_channels(self) -> set[str]:
        return {channel["id"] for channel in self.channels()}

    def tell_lines(self, lines: Mapping[str, tuple[str, str, int] | None], *, listen_seconds: int) -> None:
        """Which lines are shared with voice, for calls that come while the portal is down.

        ``lines``: digits as dialled, without + and 00 → voice destination ("" for none), whose the line is, and how
        long it rings, as in :meth:`detect`; None: not shared.
        """
        self._tell("faxroom-lines", [_line_entry(digits, way, listen_seconds) for digits, way in lines.items()])

    def tell_ways(self, ways: Mapping[str, tuple[str, Receiving] | None]) -> None:
        """How faxes may come in while the portal is down. ``ways``: digits as in :meth:`tell_lines` → station id and
        way; None: no line of ours any more."""
        self._tell("faxroom-ways", [_way_entry(digits, way) for digits, way in ways.items()])

    def _tell(self, context: str, entries: list[str]) -> None:
        for start in range(0, len(entries), LINES_AT_ONCE):
            self._run_in_dialplan(context, FAX_LINES="&".join(entries[start : start + LINES_AT_ONCE]))

    def tell_voice_limits(self, *, per_line: int, per_company: int, seconds: int) -> None:
        """Calls to telephones at once, and their longest duration; 0: no limit."""
        self._run_in_dialplan("faxroom-voice-limits", FAX_LIMITS=f"{per_line}|{per_company}|{seconds}")

    def tell_order(self, trunk: str, signs: Sequence[str]) -> None:
        """What is asked first for the called number of calls over this trunk (:data:`app.rules.numbers.called.SIGNS`),
        for those that come while the portal is down and for the calls at once of one line."""
        self._run_in_dialplan("faxroom-order", FAX_TRUNK=trunk, FAX_ORDER="&".join(signs))

    def read_anew(self, modules: Collection[str]) -> None:
        """Have modules read their configuration again. Calls go on, and what did not change stays as it is."""
        for name in modules:
            self._ask("PUT", f"/asterisk/modules/{quote(name)}")

    def addresses_of(self, trunk: str) -> list[str]:
        """Those that Asterisk takes for the trunk's, such as ``192.0.2.0/255.255.255.0``, names looked up. Empty where
        it knows no such trunk.

        Raises:
            TemporaryFailure: ``line_down``.
        """
        told = self._ask("GET", f"/asterisk/config/dynamic/res_pjsip/identify/{quote(t38_of(trunk))}", expected=(404,))
        pairs = told.json() if told.is_success else []
        return [one for pair in pairs if pair["attribute"] == "match" for one in str(pair["value"]).split(",") if one]

    def listens_on(self) -> str:
        """The address of our transport for UDP over IPv4, such as ``127.0.0.1``; empty where it has none of that name.
        A transport that is there stays as it is until Asterisk is started anew."""
        told = self._ask("GET", "/asterisk/config/dynamic/res_pjsip/transport/transport", expected=(404,))
        pairs = told.json() if told.is_success else []
        bound = next((str(pair["value"]) for pair in pairs if pair["attribute"] == "bind"), "")
        return bound.rpartition(":")[0] or bound

    def ask_fax_status(self, session: int) -> None:
        """Have the dialplan tell as an event what spandsp says of a running fax (:class:`FaxProgress`)."""
        self._run_in_dialplan("faxroom-status", FAX_SESSION=str(session))

    def ask_trunks(self, names: Collection[str]) -> None:
        """Have the dialplan tell as an event each whether these answer."""
        self._run_in_dialplan("faxroom-trunks", FAX_TRUNKS="&".join(names))

    def ear(self) -> Ear:
        """Where this Asterisk tells of its SIP, once the modules for it are loaded.

        Raises:
            OSError: the port is taken.
        """
        return Ear(self._url, self._auth[1])

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return urlsplit(self._url).hostname in ("127.0.0.1", "::1", "localhost")

    def tell_answers(self, pipe: Path) -> None:
        """Have it write into this pipe what spandsp says of faxes that go out, until it ends. Somebody has to read it:
        an Asterisk that cannot write there writes no log at all."""
        where = f"/asterisk/logging/{quote(str(pipe), safe='')}"
        self._ask("DELETE", where, expected=(404,))
        self._ask("POST", where, params={"configuration": "FAX"})
        self._ask("POST", "/asterisk/variable", params={"variable": "FAX_TELLS", "value": "d"})

    def load_modules(self, names: Collection[str]) -> None:
        for name in names:
            self._ask("POST", f"/asterisk/modules/{quote(name)}", expected=(409,))

    def unload_modules(self, names: Collection[str]) -> None:
        for name in names:
            self._ask("DELETE", f"/asterisk/modules/{quote(name)}", expected=(404,))

    def ask_results(self) -> str:
        """Have the dialplan tell every durable result as an event; returns the word that its last event carries."""
        word = uuid.uuid4().hex
        self._run_in_dialplan("faxroom-results", FAX_ASKED=word)
        return word

    def forget(self, channel_ids: list[str], *, family: Literal["fax", "faxin", "voice"] = "fax") -> None:
        """Delete durable results that the portal has taken over; ``faxin`` holds those of received faxes, ``voice`` of
        calls to telephones."""
        known = [channel_id for channel_id in channel_ids if CHANNEL_ID.fullmatch(channel_id)]
        if known:
            self._run_in_dialplan("faxroom-forget", FAX_FAMILY=family, FAX_KEYS="&".join(known))

    def _run_in_dialplan(self, context: str, **variables: str) -> None:
        """ARI may not touch AstDB itself: the far half of a Local channel does, and is never answered."""
        body = {
            "endpoint": f"Local/s@{context}/n",
            "context": "faxroom-forget",
            "extension": "s",
            "priority": 1,
            "variables": {f"__{name}": value for name, value in variables.items()},
        }
        self._ask("POST", "/channels", json=body)

    def sent_so_far(self) -> dict[str, FaxProgress]:
        """By channel id, of at most :data:`MOST_FOLLOWED` running faxes of ours that go out."""
        told = self.progress(most=MOST_FOLLOWED).values()
        return {ours["channel"]: fax for fax in told if (ours := _OUR_FILE.fullmatch(fax.file))}

    def progress(self, names: Collection[str] | None = None, *, most: int | None = None) -> dict[str, FaxProgress]:
        """How far the running faxes are, by the name of the channel: these channels', or at most so many.

        ARI does not tell; Asterisk's manager interface on the same HTTP server does (actions FAXSessions and
        FAXSession). An Asterisk that does not offer it tells nothing, and nothing is missing but the progress.
        """
        try:
            return self._ask_progress(names, most)
        except (httpx.HTTPError, FaxroomError) as error:
            log.debug("no progress: %s", error)
            return {}

    def registrations(self) -> list[Registration]:
        """At carriers, by the manager interface (action PJSIPShowRegistrationsOutbound).

        Raises:
            TemporaryFailure: ``line_down``: it does not tell.
        """
        try:
            with self._manager() as act:
                told = act("pjsipshowregistrationsoutbound")
        except httpx.HTTPError as error:
            raise TemporaryFailure("line_down", reason=str(error), certain=True) from error
        return [
            Registration(
                name=one["ObjectName"],
                account=one["ClientUri"],
                status=one["Status"],
            )
            for one in told
            if one.get("Event") == "OutboundRegistrationDetail"
        ]

    @contextlib.contextmanager
    def _manager(self) -> Iterator[Callable[..., list[dict[str, str]]]]:
        """Asks the manager interface: an action and its values in, its blocks out."""
        user, secret = self._auth
        with httpx.Client(base_url=self._url, timeout=SECONDS, trust_env=False, verify=context()) as manager:

            def act(action: str, **values: str) -> list[dict[str, str]]:
                answer = manager.post("/rawman", data={"action": action, **values}).raise_for_status().text
                return [dict(_MANAGER_FIELD.findall(block)) for block in answer.split("\r\n\r\n")]

            act("login", username=user, secret=secret)
            yield act
            act("logoff")

    def _ask_progress(self, names: Collection[str] | None, most: int | None) -> dict[str, FaxProgress]:
        with self._manager() as act:
            sessions = {told["Channel"]: told for told in act("faxsessions") if "SessionNumber" in told}
            asked = [name for name in sessions if names is None or name in names][:most]
            found = {name: act("faxsession", sessionnumber=sessions[name]["SessionNumber"]) for name in asked}
        return {
            name: FaxProgress(
                file=told["FileName"],
                pages=int(told["PagesTransmitted"]) + int(told["PagesReceived"]),
                rate=int(told["DataRate"]),
                began=told["ImageResolution"] != "0x0",
                session=int(told["SessionNumber"]),
                ecm=told["ErrorCorrectionMode"] == "Yes" if told["ImageResolution"] != "0x0" else None,
            )
            for name, blocks in found.items()
            for told in blocks
            if "ImageResolution" in told
        }

    # ---- Events

    def events(self) -> Iterator[Connected | Disconnected | list[dict[str, Any]]]:
        """Asterisk's events as JSON, as many at once as there are; :class:`Connected` at the start and after every gap,
        :class:`Disconnected` when one begins and at each attempt that fails.

        An empty list comes once a second when nothing else does, so that the caller can do what is due.
        """
        pause = 0.5
        while True:
            try:
                with self._stream() as stream:
                    self._listen()
                    log.info("connected to %s", self.node)
                    yield Connected()
                    pause = 0.5
                    yield from _read(stream)
            except _Replaced:
                log.error("another process listens to %s in our place", self.node)
                pause = LONGEST_PAUSE
            except (OSError, InvalidHandshake, InvalidURI, ConnectionClosed, FaxroomError) as error:
                log.warning("no connection to %s: %s", self.node, error)
            yield Disconnected()
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _listen(self) -> None:
        """To every channel, and to nothing else. ``subscribeAll`` would bring the states of devices too: as of Asterisk
        22.10 a stream that ends while such a state is told locks up ARI and Stasis() until Asterisk is started anew
        (res_stasis_device_state.c waits for the very event that waits for the stream)."""
        self._ask("POST", f"/applications/{APP}/subscription", params={"eventSource": "channel:"})
        self._ask("PUT", f"/applications/{APP}/eventFilter", json=_only(EVENTS))

    def _stream(self) -> ClientConnection:
        parts = urlsplit(self._url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        token = b64encode(":".join(self._auth).encode()).decode()
        return connect(
            f"{scheme}://{parts.netloc}{parts.path}/ari/events?app={APP}",
            additional_headers={"Authorization": f"Basic {token}"},
            open_timeout=SECONDS,
            ping_interval=STREAM_SECONDS,
            ping_timeout=STREAM_ANSWER_SECONDS,
            max_size=None,
            max_queue=None,  # else nothing is read, not even a pong, while 16 events wait for a listener that is busy
            proxy=None,
        )


def _encoded(text: str) -> str:
    return b64encode(_plain(text).encode()).decode()


def _check_voice(voice: str, whose: str) -> None:
    if (voice and not VOICE_DESTINATION.fullmatch(voice)) or (whose and not WHOSE.fullmatch(whose)):
        raise PermanentFailure("number_refused", number=f"{voice} {whose}".strip())


def _line_entry(digits: str, way: tuple[str, str, int] | None, listen_seconds: int) -> str:
    if not _LINE_DIGITS.fullmatch(digits):
        raise PermanentFailure("number_refused", number=digits)
    if way is None:
        return f"{digits}:"
    voice, whose, rings = way
    _check_voice(voice, whose)
    return f"{digits}:{listen_seconds}|{voice}|{whose}|{rings}"


def _way_entry(digits: str, way: tuple[str, Receiving] | None) -> str:
    if not _LINE_DIGITS.fullmatch(digits):
        raise PermanentFailure("number_refused", number=digits)
    return f"{digits}:{_encoded(way[0])}{way[1].told}" if way else f"{digits}:"


def _is_starting(response: httpx.Response) -> bool:
    """ARI answers in JSON; the HTTP server, as long as ARI is not loaded, with a page that says 404."""
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return True
    is_json = response.headers.get("content-type", "").startswith("application/json")
    return response.status_code == httpx.codes.NOT_FOUND and not is_json


def _has_no_channel(response: httpx.Response) -> bool:
    """Asterisk could make no channel, as over an endpoint that it does not know, or no thread to dial with: all of
    these come before it dials (Asterisk 22, res/ari/resource_channels.c: ari_channels_handle_originate_with_id)."""
    with contextlib.suppress(ValueError):
        told = response.json()
        return isinstance(told, dict) and told.get("message") == "Allocation failed"
    return False


def _only(names: tuple[str, ...]) -> dict[str, Any]:
    return {"allowed": [{"type": name} for name in names]}


class _Replaced(Exception):
    """Asterisk tells an application to one listener, the last that came. The stream of the one before stays open, and
    nothing comes on it any more, also when the other is gone."""


def _read(stream: ClientConnection) -> Iterator[list[dict[str, Any]]]:
    """Raises _Replaced once the events before it are handed on."""
    while True:
        events: list[dict[str, Any]] = []
        with contextlib.suppress(TimeoutError):
            events.append(json.loads(stream.recv(timeout=1.0)))
            while len(events) < MOST_EVENTS:
                events.append(json.loads(stream.recv(timeout=0)))
        yield events
        if any(event.get("type") == REPLACED for event in events):
            raise _Replaced
