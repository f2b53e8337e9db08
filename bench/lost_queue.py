"""Redis is killed, or emptied, with ten thousand jobs queued: how soon is everything as it should be?

    .tools/venv/bin/python bench/lost_queue.py [--jobs 10000] [--turns 3]

Starts an instance of its own, sends one fax, enters it in the database as often as wanted, each with a mail to be sent,
and has Redis hold a job for every one of them. Recovery is counted until every part says that it is well, a fax that
was accepted after the loss has reached a line, and a mail that waited has come. Ends with 1 if that takes longer than
60 s, or a mail comes twice.
"""

import argparse
import os
import signal
import sys
import time

import sqlalchemy as sa
from drill import room_for
from drilling.faults import Room
from drilling.people import People
from drilling.stand_ins import wait_until
from rq import Queue
from rq.serializers import JSONSerializer
from running import database_url
from waiting_mails import multiply

MOST_SECONDS, LONGEST = 60, 300
DELIVER = "app.jobs.outbox.notify.deliver"


def fill(room: Room) -> int:
    """Have a job for each mail that waits in Redis; how many there are then."""
    engine = sa.create_engine(database_url(room.portal.home))
    with engine.connect() as connection:
        ids = connection.execute(sa.text("SELECT id FROM notice WHERE sent_at IS NULL")).scalars().all()
    queue = Queue("mail", connection=room.portal.redis(), serializer=JSONSerializer)
    options = {"timeout": 120, "result_ttl": 0, "failure_ttl": 60}
    for start in range(0, len(ids), 1000):
        queue.enqueue_many([Queue.prepare_data(DELIVER, args=(id_,), **options) for id_ in ids[start : start + 1000]])
    return queue.count


def lose(room: Room, how: str) -> None:
    if how == "emptied":
        room.portal.redis().flushall()
    else:
        for pid in room.portal.find("redis"):
            os.kill(pid, signal.SIGKILL)


def recovery(room: Room, people: People) -> float | None:
    """Seconds from now."""
    began, before = time.monotonic(), len(room.mail.came)
    given = people.send(pages=1, as_word=False)

    def is_well() -> bool:
        mails = any(at > began for at, _ in list(room.mail.came)[before:])
        return bool(given and mails and room.portal.has_reached_a_line(given.id) and room.portal.is_well())

    return None if wait_until(is_well, seconds=LONGEST) is None else time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3, help="of each kind")
    choice = parser.parse_args()
    broken = False
    with room_for(1) as (room, _):
        people = People(room.portal.url)
        people.come()
        people.leave()
        first = people.send(pages=1, as_word=False)
        is_sent = lambda: [fax.status for fax in room.portal.told()] == ["sent"]  # noqa: E731
        if first is None or wait_until(is_sent, seconds=120) is None:
            sys.exit("The fax was not sent.")
        multiply(database_url(room.portal.home), first.id, choice.jobs)
        for how in ("killed", "emptied") * choice.turns:
            queued = fill(room)
            lose(room, how)
            seconds = recovery(room, people)
            told = "not well again" if seconds is None else f"well after {seconds:.1f} s"
            print(f"Redis {how} with {queued} jobs queued: {told}", flush=True)
            broken |= seconds is None or seconds > MOST_SECONDS
        again = len(room.mail.came) - len(room.mail.delivered())
        print(f"{len(room.mail.came)} mails came meanwhile, {again} twice", flush=True)
    return 1 if broken or again else 0


if __name__ == "__main__":
    code = main()
    os._exit(code)
