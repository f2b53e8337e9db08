"""The application that runs, itself: for a thread or an answer that goes on when its request is over."""

from typing import TYPE_CHECKING, cast

from flask import Flask, current_app

from app.config import Settings

if TYPE_CHECKING:
    from werkzeug.local import LocalProxy


def this_application() -> Flask:
    """What ``current_app`` stands for. Raises :class:`RuntimeError` outside of one."""
    return cast("LocalProxy[Flask]", current_app)._get_current_object()


def settings() -> Settings:
    """What the application was told from outside."""
    told: Settings = current_app.config["SETTINGS"]
    return told
