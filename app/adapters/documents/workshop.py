"""The workshop: the process from which the children of :mod:`app.adapters.confined.isolation` are forked.

    python -m app.adapters.documents.workshop FD

Speaks to its owner over the socket ``FD`` and ends with it. Whatever is loaded and found out here, every child knows:
the search for fonts and the tables of the screens are not made anew for each document.
"""

import signal
import socket
import sys

from app.adapters.confined import isolation
from app.adapters.documents import documents  # noqa: F401 - loaded before the first fork
from app.adapters.fax_files import page_pictures  # noqa: F401 - loaded before the first fork
from app.adapters.pages import rasterizer
from app.adapters.pdf import fonts


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the owner says when: by closing its end
        signal.signal(number, signal.SIG_IGN)
    isolation.settle_workshop_heap()
    rasterizer.warm_up()
    fonts.load()
    with socket.socket(fileno=int(sys.argv[1])) as line:
        isolation.serve(line)


if __name__ == "__main__":
    main()
