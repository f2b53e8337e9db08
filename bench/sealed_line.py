"""What it costs 100 faxes at once that documents are sealed: two instances, sealed and plain, in turns in one run.

    .tools/venv/bin/python bench/sealed_line.py [--faxes N] [--turns N] [--folder DIR]

Both are the demo as bin/up runs it, side by side on this machine; in one of them documents lie as they are, which no
setting does: a ``sitecustomize`` takes the sealing out of the storage, and the sealing of what lies plain. They send
their faxes by the form and over their loops, never both at a time. Of each turn counts the time from the first request
to the last hang-up, of the turns the median.
"""

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from line import Sender, Watch, light_pdf, many_at_once
from running import ROOT, database_url, free_ports, instance

#: Found by every process of the plain instance; it waits for the two modules, which bin/up itself has not.
WITHOUT_SEALING = """
import importlib.abc
import importlib.util
import sys


class Plain(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        patch = PATCHES.get(name)
        if patch is None:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            patch(module)

        spec.loader.exec_module = exec_module
        return spec


def storage(module):
    kind = module.SealedStorage
    kind.write = lambda self, key, source: self.inner.write(key, source)
    kind.open = lambda self, key, whole=False: self.inner.open(key)
    kind.local_copy = lambda self, key: self.inner.local_copy(key)


def sealing(module):
    module.seal_documents = lambda until, told=None: module.Sealed()


PATCHES = {"app.adapters.storage.sealed_storage": storage, "app.services.documents.sealing": sealing}
sys.meta_path.insert(0, Plain())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the instances lie; a temporary folder by default")
    told = parser.parse_args()
    page, walls = light_pdf(), {"plain": [], "sealed": []}
    with ExitStack() as stack:
        folder = told.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fx-")))
        folder.chmod(0o711)
        patch = folder / "patch"
        patch.mkdir()
        (patch / "sitecustomize.py").write_text(WITHOUT_SEALING)
        ports = free_ports(6)
        ends = {}
        for kind, (port, sip_port, ari_port) in zip(walls, (ports[:3], ports[3:]), strict=True):
            more = {"PYTHONPATH": str(patch)} if kind == "plain" else {}
            home = folder / kind
            stack.enter_context(instance(home, port=port, sip_port=sip_port, ari_port=ari_port, **more))
            ends[kind] = Sender(f"http://127.0.0.1:{port}"), Watch(database_url(home)), home
        for turn in range(told.turns + 1):
            for kind in sorted(ends, reverse=bool(turn % 2)):
                sender, watch, _home = ends[kind]
                accepted, wall, sent = many_at_once(sender, watch, page, told.faxes)
                load = os.getloadavg()[0]
                print(
                    f"turn {turn}, {kind}: {sent} sent, accepted in {accepted:.1f} s, {wall:.1f} s, load {load:.0f}",
                    flush=True,
                )
                if turn:  # the first one fills caches
                    walls[kind].append(wall)
        for kind, (_sender, watch, _home) in ends.items():
            _check(watch, sealed=kind == "sealed")
    plain, sealed = (statistics.median(walls[kind]) for kind in ("plain", "sealed"))
    print(f"{told.faxes} at once: plain {plain:.1f} s, sealed {sealed:.1f} s, sealed/plain {sealed / plain:.3f}")


def _check(watch: Watch, *, sealed: bool) -> None:
    """That what was measured is what it is called."""
    with watch.engine.connect() as connection:
        query = "SELECT count(*) FROM document WHERE erased_at IS NULL AND sealed_with IS "
        wrong = connection.exec_driver_sql(query + ("NULL" if sealed else "NOT NULL")).scalar()
    if wrong:
        sys.exit(f"{wrong} documents are not {'sealed' if sealed else 'plain'}: nothing was compared.")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
