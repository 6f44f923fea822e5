"""End every command of okrcell at a random moment, on a full disk and in a read-only folder, and run it again.

After each ending the output must be whole or absent (an older one is left as it was), stderr has one line and the exit status
is the right one. A signal that can be caught leaves no draft; after SIGKILL the next run removes it.
docs/results/broken-inputs.md has the table.

    python experiments/killed_runs.py [--seed 0] [--rounds 1] [--only embed] [--json counts.json]
"""

import argparse
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import damaged_files as make
from forked_commands import import_everything, run_command, run_forked, snapshot

SIGNAL_STATUS = {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -signal.SIGKILL}
ENDINGS = (*SIGNAL_STATUS, "full disk", "read-only folder")
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
"""Numbers of prctl and of a capability of Linux."""
LIMIT_SECONDS = 300
MIN_BYTES = 4096
"""Enough for the messages of a command on a full disk."""
START = "import sys; from okrcell.__main__ import main; print('ready', flush=True); main()"
"""The interpreter's own start is over, and that of okrcell begins, when the line is printed."""
CANDIDATES = "B cell,monocyte,natural killer cell"


@dataclass(frozen=True)
class Verb:
    """A command with its output."""

    words: tuple[str, ...]
    """Arguments with {cells}, {corpus}, {settings} and {out}."""
    output: str
    """Name of the output in the folder {out}."""
    check: Callable[[Path], object]
    """Reads the output; raises an exception if it is damaged."""
    resumes: bool = False
    """Whether a run adds to the output of an earlier one."""


@dataclass
class Ending:
    """How a command ended and what was left."""

    verb: str
    ending: str
    status: int
    seconds: float
    message: str
    faults: list[str]


def check_cells(path: Path) -> None:
    """Read an h5ad file."""
    import anndata

    anndata.read_h5ad(path)


def check_corpus(path: Path) -> None:
    """Read a corpus, which a killed first run may not have."""
    from okrcell.data.corpus import Corpus

    if (path / "corpus.json").exists():
        Corpus.open(path)


def check_run(path: Path) -> None:
    """Read the state and the model of a training run."""
    from okrcell.model.checkpoint import load_checkpoint
    from okrcell.training.state import read_resume_point

    if (path / "latest").exists():
        read_resume_point(path / "latest")
    if (path / "model").exists():
        load_checkpoint(path / "model")


def check_descriptions(path: Path) -> None:
    """Read a file of descriptions."""
    from okrcell.descriptions.description import load_descriptions

    load_descriptions(path)


def check_page(path: Path) -> None:
    """Read a page, which ends with a line end."""
    if not path.read_text().startswith("# ") or not path.read_text().endswith("\n"):
        raise ValueError("cut")


def check_demo(path: Path) -> None:
    """Read the files of the demo."""
    check_cells(path / "annotated.h5ad")
    json.loads((path / "receipt.json").read_text())


def check_table(path: Path) -> None:
    """Read a table of labels."""
    import pandas as pd

    if len(pd.read_csv(path, sep="\t")) != make.N_CELLS:
        raise ValueError("cut")


def cell_verb(*words: str) -> Verb:
    """Return a command that writes cells to a file."""
    return Verb((*words, "-o", "{out}/o.h5ad"), "o.h5ad", check_cells)


VERBS = {
    "embed": cell_verb("embed", "{cells}"),
    "annotate": cell_verb("annotate", "{cells}", "--candidates", CANDIDATES),
    "annotate by reference": cell_verb("annotate", "{cells}", "--reference", "{reference}"),
    "cluster": cell_verb("cluster", "{cells}"),
    "integrate": cell_verb("integrate", "{cells}", "--batch-key", "donor"),
    "find": cell_verb("find", "{cells}", "B cell"),
    "standardise": cell_verb("standardise", "{cells}"),
    "describe": Verb(
        ("describe", "{cells}", "--groupby", "cell_type", "--candidates", CANDIDATES, "-o", "{out}/o.md"), "o.md", check_page
    ),
    "explain": Verb(
        ("explain", "{cells}", "--candidates", CANDIDATES, "-o", "{out}/o.json"),
        "o.json",
        lambda path: json.loads(path.read_text()),
    ),
    "audit": Verb(("audit", "{cells}", "-o", "{out}/o.tsv"), "o.tsv", check_table),
    "prepare": Verb(("prepare", "{cells}", "{reference}", "-o", "{out}/corpus"), "corpus", check_corpus, True),
    "enrich": Verb(
        ("enrich", "{cells}", "-o", "{out}/o.parquet", "--sources", "ontologies"), "o.parquet", check_descriptions, True
    ),
    "pretrain": Verb(("pretrain", "{settings}", "--corpus", "{corpus}", "-o", "{out}/run"), "run", check_run, True),
    "demo": Verb(("demo", "-o", "{out}/demo"), "demo", check_demo),
}  # fmt: skip


def main() -> None:
    """End every command in every way; exit status 1 if anything was left half written or reported wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the names of the commands to run")
    parser.add_argument("--json", type=Path, help="file for the endings")
    parser.add_argument("--part", default="1/1", help="2/3 is the second third of the commands, for several processes")
    parser.add_argument("--read", type=Path, nargs="+", help="files of endings to show, instead of a run")
    options = parser.parse_args()
    if options.read:
        print(render([Ending(**facts) for file in options.read for facts in json.loads(file.read_text())]))
        return
    first, n_parts = map(int, options.part.split("/"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
    import_everything()
    with tempfile.TemporaryDirectory(prefix="okrcell-killed-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ["OKRCELL_CACHE"] = str(folder / "cache")
        inputs = make_inputs(folder)
        endings = [
            ending
            for verb in list(VERBS)[first - 1 :: n_parts]
            if options.only in verb
            for ending in end_verb(verb, folder, inputs, options.seed, options.rounds)
        ]
    print(render(endings))
    if options.json:
        options.json.write_text(json.dumps([asdict(ending) for ending in endings], indent=1) + "\n")
    raise SystemExit(any(ending.faults for ending in endings))


def make_inputs(folder: Path) -> dict[str, str]:
    """Write the valid inputs in a forked process: the parent must not start threads."""
    paths = {name: folder / name for name in ("cells.h5ad", "reference.h5ad", "corpus", "settings.yaml")}
    (folder / "cache").mkdir(mode=0o777)

    def write() -> int:
        make.make_h5ad(paths["cells.h5ad"])
        make.make_dense_h5ad(paths["reference.h5ad"])
        make.make_corpus(paths["corpus"])
        make.make_pretrain_settings(paths["settings.yaml"])
        return 0

    status, _, _, text = run_forked(write, LIMIT_SECONDS)
    if status:
        raise SystemExit(f"The inputs could not be made: {text}")
    return {name.partition(".")[0]: str(path) for name, path in paths.items()}


def end_verb(name: str, folder: Path, inputs: dict[str, str], seed: int, rounds: int) -> list[Ending]:
    """Run a command whole, then end it in every way; half of the runs have an older output."""
    verb, out = VERBS[name], folder / "out"
    words = [word.format(out=out, **inputs) for word in verb.words]
    renew(out)
    status, duration, text = run_warm(words)
    if status:
        raise SystemExit(f"{name} does not run: {text}")
    size = max(file.stat().st_size for file in out.rglob("*") if file.is_file())
    shutil.rmtree(folder / "whole", ignore_errors=True)
    out.rename(folder / "whole")
    endings: list[Ending] = []
    for index, ending in enumerate(ENDINGS * rounds):
        rng = random.Random(f"{seed} {name} {index}")
        renew(out, folder / "whole" if index % 2 and name != "pretrain" else None)
        before = snapshot(out)
        if ending in SIGNAL_STATUS:
            number = getattr(signal, ending)
            if ending == "SIGINT":  # also while modules are imported
                result = run_fresh(words, partial(send_later, number=number, delay=rng.uniform(0, 2 * duration)))
            else:
                result = run_warm(words, stop=(number, rng.uniform(0, duration)))
        elif ending == "full disk":
            result = run_warm(words, max_bytes=max(MIN_BYTES, rng.randrange(size)))
        else:
            out.chmod(0o555)
            result = run_fresh(words, lambda process: None, preparation=respect_permissions)
        found = find_faults(verb, ending, result, out, before)
        out.chmod(0o755)
        if ending == "SIGKILL" or verb.resumes:
            found += run_again(verb, words, out)
        endings.append(
            Ending(name, ending, result[0], round(result[1], 1), (result[2].splitlines() or [""])[-1], found)
        )
        for fault in found:
            print(f"{name}, {ending}: {fault}: {result[2]}", file=sys.stderr, flush=True)
    print(f"{name}: {duration:.1f} s, {len(endings)} endings", file=sys.stderr, flush=True)
    return endings


def renew(out: Path, former: Path | None = None) -> None:
    """Make the output folder anew, empty or with the output of an earlier run."""
    shutil.rmtree(out, ignore_errors=True)
    if former is None:
        out.mkdir()
    else:
        shutil.copytree(former, out)


def run_fresh(
    words: list[str], disturb: Callable[[Any], None], preparation: Callable[[], None] | None = None
) -> tuple[int, float, str]:
    """Run a command line in a new interpreter and disturb it; return exit status, seconds and stderr."""
    with subprocess.Popen(
        [sys.executable, "-c", START, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preparation,  # noqa: PLW1509 - this process has one thread
        cwd="/",
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start = time.monotonic()
        disturb(process)
        errors = process.communicate(timeout=LIMIT_SECONDS)[1]
        return process.returncode, time.monotonic() - start, errors


def run_warm(
    words: list[str], stop: tuple[int, float] | None = None, max_bytes: int | None = None
) -> tuple[int, float, str]:
    """Run a command line in a forked process that has imported everything; return exit status, seconds and stderr."""

    def work() -> int:
        if max_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
        return run_command(words, Path("/"))

    start = time.monotonic()
    status, _, _, text = run_forked(work, LIMIT_SECONDS, stop)
    return status, time.monotonic() - start, text


def send_later(process: "subprocess.Popen[str]", number: int, delay: float) -> None:
    """Send a signal after a delay in seconds."""
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)


def respect_permissions() -> None:
    """Give up the right of root to write where the permissions do not allow it, from the next program on."""
    if os.getuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def find_faults(
    verb: Verb, ending: str, result: tuple[int, float, str], out: Path, before: dict[str, str]
) -> list[str]:
    """List what must not be after an ending."""
    status, _, text = result
    lines = [line for line in text.splitlines() if not line.startswith("  ")]
    expected = {SIGNAL_STATUS.get(ending, 2), 0} if ending != "read-only folder" else {2}
    faults = {
        "traceback": "Traceback" in text,
        f"exit status {status}": status not in expected,
        "not one line": status not in {0, -signal.SIGKILL} and len(lines) != 1,
        "draft left by a signal that can be caught": ending != "SIGKILL" and bool(drafts(out)),
        "changed": ending == "read-only folder" and snapshot(out) != before,
    }
    return [name for name, found in faults.items() if found] + check_output(verb, out)


def check_output(verb: Verb, out: Path) -> list[str]:
    """Read the output if there is one."""
    path = out / verb.output
    try:
        if path.exists():
            verb.check(path)
    except Exception as error:  # noqa: BLE001 - whatever the reader finds
        return [f"half written ({type(error).__name__}: {error})"]
    return []


def run_again(verb: Verb, words: list[str], out: Path) -> list[str]:
    """Run the command again, in a forked process; list what must not be afterwards."""
    has_run = (out / "run" / "latest").exists()
    work = partial(run_command, [*words, *(["--resume"] if has_run else [])], Path("/"))
    status, _, _, text = run_forked(work, LIMIT_SECONDS)
    faults = [f"the next run ends with {status} ({text.strip()[-300:]})"] if status else []
    faults += [] if (out / verb.output).exists() else ["no output of the next run"]
    return faults + check_output(verb, out) + [f"draft after the next run: {path.name}" for path in drafts(out)]


def drafts(out: Path) -> list[Path]:
    """Temporary files in the output folder."""
    return [path for path in out.rglob(".*") if path.name != ".zattrs"]


def render(endings: list[Ending]) -> str:
    """Table of counts by command, in Markdown."""
    by_verb: dict[str, list[Ending]] = defaultdict(list)
    for ending in endings:
        by_verb[ending.verb].append(ending)
    head = ("command", *ENDINGS, "faults")
    lines = [head, ("---", *["---"] * (len(head) - 1))]
    for name, group in by_verb.items():
        statuses = [Counter(str(one.status) for one in group if one.ending == ending) for ending in ENDINGS]
        cells = [
            ", ".join(f"{status} × {count}" if count > 1 else status for status, count in found.items())
            for found in statuses
        ]
        lines.append((name, *cells, str(sum(len(one.faults) for one in group))))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
