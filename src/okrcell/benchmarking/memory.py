"""Peak memory of this process (Linux)."""

from pathlib import Path

_PROC_SELF = Path("/proc/self")


def reset_peak_memory() -> None:
    """Reset the kernel's peak memory counter of this process; no effect outside Linux."""
    try:
        (_PROC_SELF / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the peak resident memory since `reset_peak_memory` in bytes; None if the system does not report it."""
    try:
        lines = (_PROC_SELF / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    peak_lines = [line.split() for line in lines if line.startswith("VmHWM:")]
    return int(peak_lines[0][1]) * 1024 if peak_lines else None
