"""Peak memory of this process (Linux)."""

from pathlib import Path

_SELF = Path("/proc/self")


def forget_peak() -> None:
    """Reset the kernel's peak memory counter of this process; no effect outside Linux."""
    try:
        (_SELF / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the peak resident memory since `forget_peak` in bytes; None if the system does not report it."""
    try:
        lines = (_SELF / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    told = [line.split() for line in lines if line.startswith("VmHWM:")]
    return int(told[0][1]) * 1024 if told else None
