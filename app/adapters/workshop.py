"""The workshop: the process from which the children of :mod:`app.adapters.isolation` are forked.

    python -m app.adapters.workshop FD

Speaks to its owner over the socket ``FD`` and ends with it. Whatever is loaded and found out here, every child knows:
the search for fonts and the tables of the screens are not made anew for each document.
"""

import signal
import socket
import sys

from app.adapters import documents, fonts, isolation, page_pictures, rasterizer  # noqa: F401 - loaded before the first fork


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the owner says when: by closing its end
        signal.signal(number, signal.SIG_IGN)
    isolation.lay_out_workshop()
    rasterizer.warm_up()
    fonts.load()
    with socket.socket(fileno=int(sys.argv[1])) as line:
        isolation.serve(line)


if __name__ == "__main__":
    main()
