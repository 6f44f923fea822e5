"""What went wrong, what was seen, what to do."""


class OkrcellError(Exception):
    """A mistake its maker can mend; the command line prints it as one line and exits with status 2."""


class InputError(OkrcellError, ValueError):
    """A file, a table or an argument from the user is not what was asked for."""


class SettingsError(OkrcellError, ValueError):
    """A setting is unknown or out of range."""


class CheckpointError(OkrcellError):
    """A model folder is missing, damaged, or of another version."""


class WorkLeftError(OkrcellError):
    """The work was done in part: what is done is kept, and running again goes on."""


class MissingExtraError(OkrcellError, ImportError):
    """An optional package is not installed; the message is the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed: pip install 'okrcell[{extra}]'"
        )
