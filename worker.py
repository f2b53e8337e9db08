"""The processes beside the web: ``worker.py jobs`` (a worker for each kind of job) or ``worker.py jobs QUEUE...``
(one for these), ``worker.py line``, ``worker.py clock``, ``worker.py collect``, ``worker.py door``, ``worker.py
entrance``.

Each may run as often as wanted and be killed at any moment: what they do is in the database.
"""

import argparse
import logging

from app.jobs import crew, serve
from app.jobs.mail2fax import collectors, door
from app.jobs.receiving import entrance, listen
from app.jobs.upkeep import clock
from app.queues import QUEUES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    jobs = commands.add_parser("jobs", help="one worker for the named queues, or one for each kind of job")
    jobs.add_argument("queues", nargs="*", metavar="QUEUE", help=f"of: {', '.join(QUEUES)}")
    jobs.add_argument("--documents", type=int, default=2, help="workers that draw pages, if no queue is named")
    commands.add_parser("line", help="listen to the Asterisk beside this process")
    commands.add_parser("clock", help="find what is due and enqueue it")
    commands.add_parser("collect", help="collect the mails of the Mail2Fax boxes")
    commands.add_parser("door", help="take emails that are handed in by SMTP and LMTP (FAXROOM_DOOR_PORT)")
    commands.add_parser("entrance", help="take calls that begin with T.38 alone (FAXROOM_ENTRANCE_PORT)")
    choice = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "fontTools", "weasyprint", "rq.worker", "mail.log"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if choice.command == "jobs" and choice.queues:
        serve.run(choice.queues)
    elif choice.command == "jobs":
        crew.run(documents=choice.documents)
    elif choice.command == "line":
        listen.run()
    elif choice.command == "collect":
        collectors.run()
    elif choice.command == "door":
        door.run()
    elif choice.command == "entrance":
        entrance.run()
    else:
        clock.run()


if __name__ == "__main__":
    main()
