"""The cyclopts application to which the command modules add their commands."""

from cyclopts import App

app = App(
    name="okrcell",
    help="CLIP-style dual encoder for single-cell transcriptomes and text: embed, annotate, search and explain cells.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
