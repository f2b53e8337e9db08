"""The administrator's command line. bin/faxroom starts it with the settings of an instance."""

from app.command_line import command_line

if __name__ == "__main__":
    command_line(prog_name="bin/faxroom")
