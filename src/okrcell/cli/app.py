"""The command line's own object, to which each file of verbs adds some."""

from cyclopts import App

app = App(
    name="okrcell",
    help="Cells and language in one space: from counts to an answer.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
