"""A mail server comes back, and a thousand mails with a report each wait for it: how soon are they there?

    .tools/venv/bin/python bench/waiting_mails.py [--mails 1000] [--away 30]

Starts an instance of its own whose mail server is gone, sends one fax, and enters it in the database as often as
wanted, each with a mail to be sent; the reports are drawn as they always are. Ends with 1 if a mail is missing or the
promise (the first within 30 s, all within 5 minutes) is not kept.
"""

import argparse
import os
import sys
import time
import uuid

import sqlalchemy as sa
from drill import room_for
from drilling.people import People
from drilling.stand_ins import wait_until
from running import database_url

FIRST_SECONDS, ALL_SECONDS = 30, 300
LONGEST = 1200


def multiply(url: str, fax_id: str, count: int) -> None:
    """Enter so many more faxes like this one, each with its attempt and a mail that waits, without a report yet."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine, only=("fax", "attempt", "notice"))
    fax, attempt, notice = (tables.tables[name] for name in ("fax", "attempt", "notice"))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE tenant SET last_fax_number = last_fax_number + :count"), {"count": count})
        one = dict(connection.execute(fax.select().where(fax.c.id == fax_id)).mappings().one())
        call = dict(connection.execute(attempt.select().where(attempt.c.fax_id == fax_id)).mappings().first())
        mail = dict(connection.execute(notice.select().where(notice.c.fax_id == fax_id)).mappings().first())
        del call["id"], mail["id"]
        for n in range(1, count + 1):
            id_ = f"{fax_id[:20]}{n:06}"
            new = {"id": id_, "number": one["number"] + n, "submission_key": id_, "report_id": None}
            connection.execute(fax.insert().values(**one | new))
            connection.execute(attempt.insert().values(**call | {"fax_id": id_, "channel_id": f"fax-{id_}-1"}))
            told = {"fax_id": id_, "message_id": f"<{uuid.uuid4()}@waiting>", "sent_at": None, "error": None}
            connection.execute(notice.insert().values(**mail | told | {"due_at": mail["created_at"], "tries": 0}))


def measure(mails: int, away: float) -> tuple[float, float | None, int]:
    """Seconds from the server's return to the first and the last mail, and how many came twice."""
    with room_for(1) as (room, _):
        people, server = People(room.portal.url), room.mail
        people.come()
        people.leave()
        with server.being("gone"):
            given = people.send(pages=1, as_word=False)
            is_sent = lambda: [(fax.status, len(fax.mails)) for fax in room.portal.told()] == [("sent", 1)]  # noqa: E731
            if given is None or wait_until(is_sent, seconds=120) is None:
                sys.exit("The fax was not sent.")
            multiply(database_url(room.portal.home), given.id, mails - 1)
            time.sleep(away)
        began = time.monotonic()
        spent = wait_until(lambda: len(server.delivered()) == mails, seconds=LONGEST)
        first = min((at for at, _ in server.came), default=began + LONGEST) - began
        return first, spent, len(server.came) - len(server.delivered())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=1000)
    parser.add_argument("--away", type=float, default=30, help="seconds for which they wait")
    choice = parser.parse_args()
    first, last, again = measure(choice.mails, choice.away)
    said = "not all came" if last is None else f"the last after {last:.0f} s"
    print(f"{choice.mails} mails: the first {first:.1f} s after the server was back, {said}, {again} twice", flush=True)
    return 0 if last is not None and first <= FIRST_SECONDS and last <= ALL_SECONDS and not again else 1


if __name__ == "__main__":
    code = main()
    os._exit(code)
