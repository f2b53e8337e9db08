"""What we use of Flask-Login, which tells no types. The guard lets nobody but users reach a page that is not public."""

from collections.abc import Callable

from flask import Flask, Request

from tenants.models import User

class UserMixin:
    @property
    def is_authenticated(self) -> bool: ...
    def get_id(self) -> str: ...

class AnonymousUserMixin:
    @property
    def is_authenticated(self) -> bool: ...

class LoginManager:
    def __init__(self, app: Flask | None = None) -> None: ...
    def request_loader(self, callback: Callable[[Request], User | None]) -> object: ...

class _CurrentUser(User):
    def _get_current_object(self) -> User: ...

current_user: _CurrentUser
