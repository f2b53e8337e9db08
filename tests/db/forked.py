"""Processes of their own on the test's database. The application is imported once for all of them: that takes longer
than what most of them do."""

import multiprocessing

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["app.factory", "app.jobs.mail2fax.collectors"])
