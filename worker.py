"""The processes beside the web: ``worker.py jobs [QUEUE...]``, ``worker.py line``, ``worker.py clock``,
``worker.py collect``.

Each may run as often as wanted and be killed at any moment: what they do is in the database.
"""

import argparse
import logging

from app.jobs import clock, collect, listen, serve
from app.queues import QUEUES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    jobs = commands.add_parser("jobs", help="run jobs of the named queues, all by default")
    jobs.add_argument("queues", nargs="*", metavar="QUEUE", help=f"of: {', '.join(QUEUES)}")
    commands.add_parser("line", help="listen to the Asterisk beside this process")
    commands.add_parser("clock", help="find what is due and enqueue it")
    commands.add_parser("collect", help="collect the mails of the Mail2Fax boxes")
    choice = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "fontTools", "weasyprint", "rq.worker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if choice.command == "jobs":
        serve.run(choice.queues or list(QUEUES))
    elif choice.command == "line":
        listen.run()
    elif choice.command == "collect":
        collect.run()
    else:
        clock.run()


if __name__ == "__main__":
    main()
