"""``bin/faxroom``: the commands of :mod:`app.cli` on one instance, and what ``--help`` says of them."""

import click
from flask_migrate.cli import db as database  # type: ignore[import-not-found]  # its stubs leave it out

from app import cli
from app.factory import create_app

#: Letters of a line that fits into a terminal of 80.
WIDTH = 66
#: Heading → its commands, in the order of ``--help``. "restore" is bin/faxroom's own: it needs no instance.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Every day": ("doctor", "send", "faxes"),
    "Companies and people": ("provision", "door"),
    "Carriers": ("trunks",),
    "Backup": ("backup", "restore", "restored"),
    "Keys and encrypted files": ("keys", "seal", "reseal", "unseal"),
    "Audit log": ("audit",),
    "Database": ("db",),
}
#: Lines of what :mod:`app.cli` has no command for.
LINES = {
    "restore": "Make a new instance from a backup, before its first bin/up.",
    "db": "Migrate the database by hand. bin/up does it for you.",
}


HELP = {"help_option_names": ["-h", "--help"]}


class _InSections(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with one line, below the heading of its section."""
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, self._line(name)) for name in names], col_max=12)

    def _line(self, name: str) -> str:
        return LINES.get(name) or self.commands[name].get_short_help_str(limit=WIDTH)


@click.group(cls=_InSections, commands=[*cli.COMMANDS, database], context_settings=HELP)
@click.pass_context
def command_line(ctx: click.Context) -> None:
    """Run one Faxroom instance: the one in FAXROOM_HOME, by default var/.

    bin/faxroom COMMAND --help tells more of each command.
    """
    ctx.with_resource(create_app().app_context())
