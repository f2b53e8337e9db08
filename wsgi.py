"""The web process: ``gunicorn wsgi:app``."""

import gc

from app.factory import create_app

app = create_app()
# All that is loaded now stays, and workers are forked from it: looking through it for garbage would halt one request in
# eighty for 0.1 s, and copy it into each of them.
gc.freeze()
