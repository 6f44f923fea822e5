"""Open hundreds of damaged files with the commands of okrcell: each is answered, or refused in one line.

Every file is opened in a forked process with a time limit; what it prints, writes and needs is counted. The page
docs/results/broken-inputs.md has the table.

    python experiments/broken_inputs.py [--seed 0] [--files 450] [--only h5ad] [--damage bit] [--json counts.json]
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import damaged_files as make
from damaged_files import BYTE_DAMAGE, HDF5_DAMAGE, Damage
from damaged_text import FOLDER_DAMAGE, NESTED_DAMAGE, TEXT_DAMAGE, text_in_folder
from forked_commands import import_everything, run_command, run_forked, snapshot

LIMIT_SECONDS, KILL_SECONDS, LIMIT_GIGABYTES = 30, 120, 1.0
CANDIDATES = "B cell,monocyte,natural killer cell"
SECRET = "secret-7f3a9c-of-another-file"


@dataclass(frozen=True)
class Format:
    """A format, how it is made and damaged, and the commands that read it."""

    name: str
    make: Callable[[Path], None]
    damage: dict[str, Damage]
    commands: tuple[str, ...]
    """Commands with {input} for the damaged file, {cells} for a valid file of cells, and {out} for the output folder."""


@dataclass
class Outcome:
    """What a command did with a damaged file."""

    format: str
    damage: str
    command: str
    status: int
    seconds: float
    """Processor time, which does not depend on what else the machine does."""
    gigabytes: float
    """Peak memory above that of the parent process."""
    lines: int
    """Lines on stderr."""
    message: str
    faults: list[str] = field(default_factory=list)


ALL_CELL_COMMANDS = (
    "embed {input} -o {out}/o.h5ad",
    "annotate {input} -o {out}/o.h5ad --candidates " + CANDIDATES.replace(" ", "_"),
    "standardise {input} -o {out}/o.h5ad",
    "find {input} B_cell -o {out}/o.h5ad",
    "cluster {input} -o {out}/o.h5ad",
    "integrate {input} -o {out}/o.h5ad --batch-key donor",
    "describe {input} --groupby cell_type -o {out}/o.md --candidates " + CANDIDATES.replace(" ", "_"),
    "explain {input} -o {out}/o.json --candidates " + CANDIDATES.replace(" ", "_"),
    "audit {input} -o {out}/o.tsv",
    "prepare {input} -o {out}/corpus",
    "enrich {input} -o {out}/o.parquet --sources ontologies",
    "annotate {cells} -o {out}/o.h5ad --reference {input}",
)
CELL_COMMANDS = ("embed {input} -o {out}/o.h5ad", "prepare {input} -o {out}/corpus", *ALL_CELL_COMMANDS[1:4])
WITH_CANDIDATES = ("annotate {cells} -o {out}/o.h5ad --candidates {input}",)
WITH_MODEL = ("embed {cells} -o {out}/o.h5ad --model {input}", "find {cells} B_cell -o {out}/o.h5ad --model {input}")
WITH_KNOWLEDGE = (
    "enrich {cells} -o {out}/o.parquet --knowledge {input}",
    "describe {cells} --groupby cell_type -o {out}/o.md --knowledge {input} --candidates "
    + CANDIDATES.replace(" ", "_"),
)
WITH_CORPUS = (
    "enrich {input} -o {out}/o.parquet --sources ontologies",
    "pretrain {settings} --corpus {input} -o {out}/run",
    "audit {input} -o {out}/o.tsv",
)
WITH_LITERATURE = ("enrich {cells} -o {out}/o.parquet --literature {input} --sources ontologies",)
WITH_PRETRAIN_SETTINGS = ("pretrain {input} --corpus {corpus} -o {out}/run",)
WITH_ENRICH_SETTINGS = ("enrich {cells} -o {out}/o.parquet --config {input}",)
HDF5 = BYTE_DAMAGE | HDF5_DAMAGE
TABLE = BYTE_DAMAGE | TEXT_DAMAGE
TREE = TEXT_DAMAGE | NESTED_DAMAGE
FORMATS = (
    Format("cells.h5ad", make.make_h5ad, HDF5, ALL_CELL_COMMANDS),
    Format("dense.h5ad", make.make_dense_h5ad, HDF5, ALL_CELL_COMMANDS),
    Format("cells.zarr", make.make_zarr, FOLDER_DAMAGE | text_in_folder(".z*", TEXT_DAMAGE, NESTED_DAMAGE), CELL_COMMANDS),
    Format("tenx3.h5", partial(make.make_10x, version=3), HDF5, CELL_COMMANDS),
    Format("tenx2.h5", partial(make.make_10x, version=2), HDF5_DAMAGE, CELL_COMMANDS),
    Format("mtx", make.make_mtx, FOLDER_DAMAGE | text_in_folder("*.*", TEXT_DAMAGE), CELL_COMMANDS),
    Format("cells.loom", make.make_loom, HDF5, CELL_COMMANDS),
    Format("cells.csv", make.make_table, TABLE, CELL_COMMANDS),
    Format("cells.tsv.gz", make.make_table, TABLE, CELL_COMMANDS),
    Format("model", make.make_model, FOLDER_DAMAGE | text_in_folder("*.json", TEXT_DAMAGE, NESTED_DAMAGE), WITH_MODEL),
    Format("knowledge", make.make_knowledge, FOLDER_DAMAGE | text_in_folder("*.*", TEXT_DAMAGE), WITH_KNOWLEDGE),
    Format("papers.jsonl", make.make_literature, BYTE_DAMAGE | TREE, WITH_LITERATURE),
    Format("pretrain.yaml", make.make_pretrain_settings, BYTE_DAMAGE | TREE, WITH_PRETRAIN_SETTINGS),
    Format("enrich.yaml", make.make_enrich_settings, BYTE_DAMAGE | TREE, WITH_ENRICH_SETTINGS),
    Format("candidates.txt", make.make_candidates, TABLE, WITH_CANDIDATES),
    Format("candidates.csv", make.make_candidates, TABLE, WITH_CANDIDATES),
    Format("candidates.json", make.make_candidates, BYTE_DAMAGE | TREE, WITH_CANDIDATES),
    Format("candidates.yaml", make.make_candidates, BYTE_DAMAGE | TREE, WITH_CANDIDATES),
    Format("overrides.tsv", make.make_overrides, TABLE, ("standardise {cells} -o {out}/o.h5ad --overrides {input}",)),
    Format("corpus", make.make_corpus, FOLDER_DAMAGE | text_in_folder("corpus.json", TEXT_DAMAGE, NESTED_DAMAGE), WITH_CORPUS),
    Format("texts.parquet", make.make_descriptions, BYTE_DAMAGE, ("enrich {cells} -o {input} --sources ontologies",)),
)  # fmt: skip


def main() -> None:
    """Damage, open, count; exit status 1 if a file was neither answered nor refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=450, help="number of damaged files; more than there are: all")
    parser.add_argument("--only", default="", help="part of the names of the formats to run")
    parser.add_argument("--damage", default="", help="part of the names of the damages to make")
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    parser.add_argument("--part", default="1/1", help="2/3 is the second third of the files, for several processes")
    parser.add_argument("--read", type=Path, nargs="+", help="files of outcomes to show, instead of a run")
    options = parser.parse_args()
    if options.read:
        print(render([Outcome(**facts) for file in options.read for facts in json.loads(file.read_text())]))
        return
    import_everything()
    with tempfile.TemporaryDirectory(prefix="okrcell-broken-") as name:
        folder = Path(name)
        os.environ["OKRCELL_CACHE"] = str(folder / "cache")
        formats = [kind for kind in FORMATS if options.only in kind.name]
        outcomes = run_all(folder, formats, options)
    print(render(outcomes))
    raise SystemExit(any(outcome.faults for outcome in outcomes))


def run_all(folder: Path, formats: list[Format], options: argparse.Namespace) -> list[Outcome]:
    """Open damaged files with one command each, in turn."""
    make_valid_inputs(folder, formats)
    cases = [
        (kind, name, damage, kind.commands[number % len(kind.commands)])
        for kind in formats
        for number, (name, damage) in enumerate(kind.damage.items())
        if options.damage in name
    ]
    first, n_parts = map(int, options.part.split("/"))
    chosen = sorted(random.Random(options.seed).sample(range(len(cases)), min(options.files, len(cases))))[
        first - 1 :: n_parts
    ]
    outcomes: list[Outcome] = []
    for number in chosen:
        kind, name, damage, command = cases[number]
        outcome = open_damaged(folder, kind, name, damage, command, random.Random(f"{options.seed} {kind.name} {name}"))
        outcomes.append(outcome)
        if options.json:  # after each file, so that an interrupted run has a table too
            options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
        for fault in outcome.faults:
            print(f"{kind.name}, {name}, {command}: {fault}: {outcome.message}", file=sys.stderr, flush=True)
        if len(outcomes) % 50 == 0:
            print(f"{len(outcomes)} of {len(chosen)} files", file=sys.stderr, flush=True)
    return outcomes


def make_valid_inputs(folder: Path, formats: list[Format]) -> None:
    """Write one valid file of each format, in a forked process: the parent must not start threads."""

    def write() -> int:
        (folder / "valid").mkdir()
        make.make_h5ad(folder / "valid" / "good.h5ad")
        make.make_corpus(folder / "valid" / "good-corpus")
        make.make_pretrain_settings(folder / "valid" / "good.yaml")
        for kind in formats:
            kind.make(folder / "valid" / kind.name)
        return 0

    status, _, _, text = run_forked(write, KILL_SECONDS * 5)
    if status:
        raise SystemExit(f"The valid files could not be made: {text}")


def open_damaged(folder: Path, kind: Format, name: str, damage: Damage, command: str, rng: random.Random) -> Outcome:
    """Damage a copy of the valid file, run a command on it and look at what it did."""
    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    (place / "outside").mkdir(parents=True)
    (place / "out").mkdir()
    (place / "outside" / "secret.txt").write_text(SECRET)
    make_secret_hdf5(place / "outside" / "secret.h5")
    (place / "in").mkdir()
    target, valid = place / "in" / kind.name, folder / "valid" / kind.name
    if valid.is_dir():
        shutil.copytree(valid, target)
    else:
        shutil.copyfile(valid, target)
    damage(target, rng)
    words = [
        word.replace("_", " ").format(
            input=target, out=place / "out", cells=folder / "valid" / "good.h5ad",
            corpus=folder / "valid" / "good-corpus", settings=folder / "valid" / "good.yaml",
        )
        for word in command.split()
    ]  # fmt: skip
    before = snapshot(place) | times(folder / "valid")
    status, seconds, gigabytes, text = run_forked(partial(run_command, words, place), KILL_SECONDS)
    lines = text.strip().splitlines()
    outcome = Outcome(
        kind.name, name, command.split(maxsplit=1)[0], status, round(seconds, 1), round(gigabytes, 2),
        len(lines), lines[-1][:300] if lines else "",
    )  # fmt: skip
    after = snapshot(place) | times(folder / "valid")
    is_updated = "-o {input}" in command
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    outside = [path for path in changed if "/out/" not in path and not (is_updated and status == 0 and "/in/" in path)]
    outcome.faults = find_faults(outcome, text, outside, place / "out")
    return outcome


def find_faults(outcome: Outcome, text: str, outside: list[str], out: Path) -> list[str]:
    """List what must not happen."""
    faults = {
        "traceback": "Traceback" in text or outcome.status == 1,
        "crash": outcome.status < 0 and outcome.status != -signal.SIGKILL,
        "hang": outcome.seconds > LIMIT_SECONDS or outcome.status == -signal.SIGKILL,
        "memory": outcome.gigabytes > LIMIT_GIGABYTES,
        "more than one line": outcome.status == 2 and outcome.lines != 1,
        "another exit status": outcome.status not in {0, 1, 2} and outcome.status >= 0,
        f"changed {', '.join(outside)}": bool(outside),
        "output of a refusal": outcome.status != 0 and any(path.is_file() for path in out.rglob("*")),
        "content of another file": any(
            SECRET.encode() in file.read_bytes() for file in out.rglob("*") if file.is_file()
        ),
        "control characters": any(not (char.isprintable() or char == "\n") for char in text),
    }
    return [name for name, found in faults.items() if found]


def make_secret_hdf5(path: Path) -> None:
    """Write a file that no output may contain and no command may change."""
    import h5py
    import numpy as np

    with h5py.File(path, "w") as file:
        file["text"] = np.frombuffer(SECRET.encode(), dtype="u1")


def times(folder: Path) -> dict[str, str]:
    """Size and time of change of everything in a folder."""
    return {str(path): f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in folder.rglob("*")}


def render(outcomes: list[Outcome]) -> str:
    """Table of counts by format, in Markdown."""
    by_format: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_format[outcome.format].append(outcome)
    head = ("format", "files", "refused", "answered", "tracebacks", "crashes", "hangs", "writes elsewhere", "other faults",
            "slowest, s", "peak memory, GB")  # fmt: skip
    lines = [head, ("---", *["---:"] * (len(head) - 1))]
    for name, group in [*by_format.items(), ("all", outcomes)]:
        faults = Counter(fault.split(" ")[0] for outcome in group for fault in outcome.faults)
        other = faults.total() - sum(faults[kind] for kind in ("traceback", "crash", "hang", "changed"))
        counts = (
            len(group),
            sum(outcome.status == 2 for outcome in group),
            sum(outcome.status == 0 for outcome in group),
            *(faults[kind] for kind in ("traceback", "crash", "hang", "changed")),
            other,
        )
        peaks = (max(outcome.seconds for outcome in group), max(outcome.gigabytes for outcome in group))
        lines.append((name, *map(str, counts), f"{peaks[0]:.1f}", f"{peaks[1]:.2f}"))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
