"""Exceptions for users. A message states the problem, the value seen and the remedy in one line."""


class OkrcellError(Exception):
    """An error that the user can fix; the command line prints it as one line and exits with status 2."""


class InputError(OkrcellError, ValueError):
    """A file, table or argument from the user is invalid."""


class SettingsError(OkrcellError, ValueError):
    """A setting is unknown or out of range."""


class CheckpointError(OkrcellError):
    """A model folder is missing, damaged or of an incompatible version."""


class IncompleteError(OkrcellError):
    """The work is incomplete. Finished parts are saved; running the command again continues."""


class MissingExtraError(OkrcellError, ImportError):
    """An optional package is not installed; the message contains the install command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed: pip install 'okrcell[{extra}]'"
        )
