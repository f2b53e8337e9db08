"""The front: nginx before the web. It reads requests from whoever sends them slowly and hands on whole ones, so that no
thread of the web ever waits for a slow line.

    front.py FOLDER                 becomes nginx, with as many descriptors as it may have
    front.py --with-web ADDRESS     writes a configuration for ADDRESS, runs it and the web, ends with either (Docker)
"""

import os
import resource
import signal
import string
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "front"
NGINX = "/usr/sbin/nginx"
PYTHON = "/usr/bin/python3"  # any account may run it
#: Connections at once. Each that is handed on takes two descriptors, and a file where it is large.
CONNECTIONS = 8192
#: Requests of one address (or company behind one) that are under way at once.
AT_ONCE = 100
#: Not handed on: what app/factory.py refuses, in a form.
BODY_BYTES = 31 * 1024 * 1024
#: A body brings so many bytes in each so many seconds, and is there as a whole after an hour. A telephone on the
#: slowest net (EDGE) brings several times as much; the largest document takes 9 kB a second.
LEAST_BYTES, EACH_SECONDS, BODY_SECONDS = 60_000, 60, 3600
#: So many documents of one who is signed in are with the web, and so long the others wait.
DOCUMENTS_AT_ONCE, LINE_SECONDS = 2, 120
#: Of the one who asks; what a client says of itself goes no further, unless a proxy of the operator's says it.
HANDED_ON = """proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Host {host};
            proxy_set_header X-Forwarded-Proto {proto};
            proxy_set_header X-Forwarded-Protocol "";
            proxy_set_header X-Forwarded-Ssl "";"""

#: To the web, whole.
HANDED_OVER = """limit_conn by_client $at_once;
            access_by_lua_block { whole_body() wait_in_line() }
            $handed_on
            proxy_set_header X-Front-Refused "";
            proxy_pass http://web;"""

#: Below its folder, what it writes itself.
WRITTEN = ("bodies", "answers", "run")


def configure(folder: Path, *, web: Path, listen: str, proxies: int) -> None:
    """Write ``folder/nginx.conf``: ``listen`` is an address with a port, ``web`` the socket of gunicorn, ``proxies``
    how many stand before us."""
    for name in WRITTEN:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    said = {"host": "$http_x_forwarded_host", "proto": "$http_x_forwarded_proto"} if proxies else {}
    values = {
        "folder": folder,
        "web": web,
        "listen": f"{listen} ipv6only=off" if listen.startswith("[::]") else listen,
        "proxies": proxies,
        "pages": TEMPLATES,
        "body_bytes": BODY_BYTES,
        "least_bytes": LEAST_BYTES,
        "each_seconds": EACH_SECONDS,
        "body_seconds": BODY_SECONDS,
        "at_once": AT_ONCE,
        "documents_at_once": DOCUMENTS_AT_ONCE,
        "line_seconds": LINE_SECONDS,
        "connections": min(CONNECTIONS, _descriptors() // 3),
        "handed_on": HANDED_ON.format(**{"host": '""', "proto": '""', **said}),
    }
    values["handed_over"] = string.Template(HANDED_OVER).substitute(values)
    new = folder / "nginx.conf.new"
    new.write_text(string.Template((TEMPLATES / "nginx.conf").read_text()).substitute(values))
    new.replace(folder / "nginx.conf")


def command(folder: Path) -> tuple[str, ...]:
    return (PYTHON, "-I", "-B", str(Path(__file__).resolve()), str(folder))


def _descriptors() -> int:
    """As many as we may have, and could use."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 3 * CONNECTIONS if most == resource.RLIM_INFINITY else min(most, 3 * CONNECTIONS)


def alive_socket(folder: Path) -> Path:
    """Where it is asked whether it gets on."""
    return folder / "run/alive.sock"


def become_nginx(folder: Path) -> None:
    alive_socket(folder).unlink(missing_ok=True)  # nginx would not listen at one that it left behind
    resource.setrlimit(resource.RLIMIT_NOFILE, (_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    os.execv(NGINX, [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])


def web_command(python: str, web: Path) -> tuple[str, ...]:
    """gunicorn behind the front, on a socket in a folder through which only the front may pass."""
    return (
        *(python, "-m", "gunicorn", "wsgi:app", "--bind", f"unix:{web}", "--umask", "0o111"),
        *("--worker-class", "gthread", "--workers", "2", "--threads", "8"),
        *("--graceful-timeout", "3", "--worker-tmp-dir", "/dev/shm", "--log-level", "warning", "--no-control-socket"),
    )


def serve_with_web(listen: str) -> int:
    """Both, until one ends or we are asked to; then whoever started us starts both again."""
    home = Path(os.environ.get("FAXROOM_HOME", "var")).absolute()
    folder, web = home / "front", home / "web/web.sock"
    web.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    configure(folder, web=web, listen=listen, proxies=int(os.environ.get("FAXROOM_PROXIES") or 0))
    environment = os.environ | {"FAXROOM_FRONT": f"http://127.0.0.1:{listen.rpartition(':')[2]}"}
    running = [
        subprocess.Popen(words, cwd=ROOT, env=environment)
        for words in (web_command(sys.executable, web), command(folder))
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running[0].terminate())  # it finishes what it has begun
    ended, status = os.wait()
    for process in running:
        if process.pid != ended:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
    return os.waitstatus_to_exitcode(status)


def main(arguments: list[str]) -> int:
    if arguments[0] == "--with-web":
        return serve_with_web(arguments[1])
    become_nginx(Path(arguments[0]))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
