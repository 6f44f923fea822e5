"""How much memory a run takes."""

from pathlib import Path

_SELF = Path("/proc/self")


def forget_peak() -> None:
    """Let the peak be counted anew from here, where the kernel can do that (Linux)."""
    try:
        (_SELF / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the most memory that this process has held since `forget_peak`, in bytes; None where it is not told."""
    try:
        lines = (_SELF / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    told = [line.split() for line in lines if line.startswith("VmHWM:")]
    return int(told[0][1]) * 1024 if told else None
