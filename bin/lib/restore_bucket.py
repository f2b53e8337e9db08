"""Documents of a backup into a bucket. Runs in the project's environment: ``restore_bucket.py FOLDER STORAGE_URL``."""

import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of bin/lib, whose names are for set-up

from app.adapters.storage.storage import storage_from_url  # noqa: E402


def main() -> None:
    folder, storage = Path(sys.argv[1]), storage_from_url(sys.argv[2])
    if next(storage.keys(before=datetime.max.replace(tzinfo=UTC)), None):
        sys.exit(f"{sys.argv[2]} is not empty.")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as source:
            storage.write(path.relative_to(folder).as_posix(), source)


main()
