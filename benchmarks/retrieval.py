"""Recall of definitions by name in the passage search, and its latency among 100,000 passages.

    python benchmarks/retrieval.py definitions
    python benchmarks/retrieval.py speed --knowledge ../shared/knowledge --index /tmp/index100k

Both write their part of docs/results/retrieval.json. `speed` builds the index if it does not exist
(texts truncated to 64 word pieces, to save time), in about half an hour on two cores.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from knowledge_passages import real_passages
from real_cells import knowledge_folder

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.neighbourhood import questions
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.search.fusion import FusionSettings
from okrcell.knowledge.search.index import PassageIndex
from okrcell.model.sentence_encoder import SentenceEncoder
from okrcell.provenance import receipt, write_json

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "retrieval.json"
QUERIES = 500
TUNED_ON, REPORTED = 1, 0
"""Seeds of the drawn names; names of the reported draw are left out of the tuning draw."""
NOTHING = {"words": 0.0, "fragments": 0.0, "meaning": 0.0}
ALONE = {
    "dense (plain MiniLM)": FusionSettings(**NOTHING | {"meaning": 1.0}),
    "BM25, words": FusionSettings(**NOTHING | {"words": 1.0}),
    "BM25, fragments": FusionSettings(**NOTHING | {"fragments": 1.0}),
    "words + dense, equal, k = 60": FusionSettings(**NOTHING | {"words": 0.5, "meaning": 0.5, "k": 60.0}),
    "hybrid (the default)": FusionSettings(),
}
SHARES = ((0.4, 0.0), (0.0, 0.4), (0.15, 0.15), (0.2, 0.2), (0.25, 0.25), (0.3, 0.3), (0.2, 0.3), (0.3, 0.2))
"""Weights of words and fragments in the tuning grid; the remainder is the weight of the dense vectors."""


class Remembered:
    """Sentence encoder that caches the vectors of texts."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.name, self._encoder, self._known = encoder.name, encoder, {}

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, (text, dim)."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._encoder.embed_texts(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def masked_definitions() -> Iterator[tuple[str, Evidence]]:
    """Yield every Cell Ontology name with its definition, without the name, its synonyms and their plurals."""
    home = ontology("CL")
    for term in map(home.term, home.terms()):
        if term.definition:
            names = "|".join(map(re.escape, sorted((term.name, *term.synonyms), key=len, reverse=True)))
            text = re.sub(rf"(?<!\w)(?:{names})(?:s|es)?(?!\w)", "", term.definition, flags=re.IGNORECASE)
            text = " ".join(text.split())
            yield term.name, Evidence(text, home.name, term.id, home.snapshot, home.licence, "definition", (term.id,))


def definitions() -> dict[str, Any]:
    """Print recall@1, @5 and @10 of the definition of a name, and return the results."""
    pairs = list(masked_definitions())
    reported = np.random.default_rng(REPORTED).permutation(len(pairs))[:QUERIES]
    others = [place for place in np.random.default_rng(TUNED_ON).permutation(len(pairs)) if place not in set(reported)]
    encoder = Remembered(SentenceEncoder())
    encoder.embed_texts([name for name, _ in pairs])
    with tempfile.TemporaryDirectory() as folder:
        index = PassageIndex.build(Path(folder) / "index", (passage for _, passage in pairs), encoder)
        tried = {
            FusionSettings(words=words, fragments=fragments, meaning=1 - words - fragments, k=k)
            for (words, fragments), k in product(SHARES, (1.0, 3.0, 10.0, 60.0))
        }
        tuning = sorted(
            ((recall(index, pairs, others[:QUERIES], each), each.model_dump()) for each in tried),
            key=lambda row: (row[0]["R@1"] + row[0]["R@10"], str(row[1])),
            reverse=True,
        )
        print(f"tuned on {QUERIES} other names; the best five:")
        for row in tuning[:5]:
            print(" ", *row)
        widened = [(questions(passage.record), passage) for _, passage in pairs]
        kin = [(asked[:2], passage) for asked, passage in widened]
        encoder.embed_texts([text for asked, _ in widened for text in asked])
        found = {
            f"{name}; {asked}": {
                "reported": recall(index, put, reported, each),
                "all": recall(index, put, range(len(pairs)), each),
            }
            for asked, put in {
                "name": pairs,
                "name, with parents": kin,
                "name, with parents, with synonyms": widened,
            }.items()
            for name, each in ALONE.items()
        }
    print(f"{len(pairs)} definitions; {QUERIES} names of seed {REPORTED}, and all names:")
    for name, row in found.items():
        print(f"  {name:62s}", row["reported"], row["all"])
    return {
        "definitions": len(pairs),
        "queries": QUERIES,
        "seeds": [TUNED_ON, REPORTED],
        "tuning": tuning,
        "found": found,
    }


def recall(
    index: PassageIndex,
    questions: Sequence[tuple[str | tuple[str, ...], Evidence]],
    asked: Sequence[int],
    weights: FusionSettings,
) -> dict[str, float]:
    """Return recall@1, @5 and @10 of each name's own definition."""
    ranks = []
    for place in asked:
        text, passage = questions[place]
        records = [each.evidence.record for each in index.search(text, top=10, weights=weights)]
        ranks.append(records.index(passage.record) if passage.record in records else 10)
    return {f"R@{top}": round(float(np.mean(np.array(ranks) < top)), 3) for top in (1, 5, 10)}


def speed(knowledge: Path, folder: Path, queries: int) -> dict[str, Any]:
    """Print the latency of a query, including its vector, and of opening the index in a new process."""
    encoder = SentenceEncoder(limit=64)
    if not folder.exists():
        started = time.perf_counter()
        PassageIndex.build(folder, real_passages(knowledge), encoder, lambda done, of: print(done, of, flush=True))
        print(f"built in {time.perf_counter() - started:.0f} s")
    opening = [json.loads(subprocess.run(_again(folder), check=True, capture_output=True).stdout) for _ in range(3)]
    index = PassageIndex.open(folder, encoder)
    print(f"{len(index):,} passages; opened in new processes: {opening}")
    print(f"load average: {os.getloadavg()[0]:.1f}")
    asked: dict[str, list[Any]] = {"profile": list(profiles(queries))}
    asked["name"] = [text.split(",")[0] for text in asked["profile"]]
    asked["name and profile"] = list(zip(asked["name"], asked["profile"], strict=True))
    about = {"hybrid": None, "hybrid, one source": ["Cell Ontology"], "words alone": None}
    taken: dict[str, Any] = {}
    for (kind, texts), (how, sources) in product(asked.items(), about.items()):
        weights = FusionSettings(meaning=0) if how == "words alone" else FusionSettings()
        taken[f"{kind}: {how}"] = _timed(lambda text: index.search(text, sources=sources, weights=weights), texts)  # noqa: B023
    taken["the vector of a profile alone"] = _timed(lambda text: encoder.embed_texts([text]), asked["profile"])
    for name, row in taken.items():
        print(f"  {name:32s}", row)
    memory, disk = _memory(), sum(part.stat().st_size for part in folder.rglob("*")) / 1e6
    print(f"memory of the process, encoder included, MB: {memory}; on disk, MB: {disk:.0f}")
    return {
        "passages": len(index),
        "opening": opening,
        "milliseconds": taken,
        "memory_MB": memory,
        "disk_MB": round(disk),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def profiles(number: int) -> Iterator[str]:
    """Yield queries like profiles: type, tissue, disease, stage, sex, drawn from the ontologies."""
    draw = np.random.default_rng(3)
    homes = [ontology(prefix) for prefix in ("CL", "UBERON", "MONDO", "HsapDv")]
    for _ in range(number):
        names = [home.term(home.terms()[draw.integers(len(home.terms()))]).name for home in homes]
        yield ", ".join([*names, "male" if draw.random() < 0.5 else "female"])


def _timed(ask: Any, texts: Sequence[str]) -> dict[str, float]:
    for text in texts[:10]:
        ask(text)
    taken, busy = [], []
    for text in texts:
        started, worked = time.perf_counter(), time.process_time()
        ask(text)
        taken.append((time.perf_counter() - started) * 1e3)
        busy.append((time.process_time() - worked) * 1e3)
    figures = {"min": min(taken), "median": np.median(taken), "p95": np.quantile(taken, 0.95)}
    # CPU time of all threads, independent of the load of the machine.
    figures |= {"processor, median": np.median(busy), "processor, p95": np.quantile(busy, 0.95)}
    return {name: round(float(value), 2) for name, value in figures.items()}


OPENED = """
import json, sys, time
started = time.perf_counter()
from okrcell.knowledge.search.fusion import FusionSettings
from okrcell.knowledge.search.index import PassageIndex
imported = time.perf_counter()
index = PassageIndex.open(sys.argv[1])
opened = time.perf_counter()
quick = PassageIndex.open(sys.argv[1], check=False)
again = time.perf_counter()
quick.search("macrophage")
asked = time.perf_counter()
seconds = {"import": imported - started, "open, sha256 compared": opened - imported,
           "open, sizes compared": again - opened, "first question, words": asked - again}
print(json.dumps({name: round(value, 3) for name, value in seconds.items()}))
"""


def _again(folder: Path) -> list[str]:
    return [sys.executable, "-c", OPENED, str(folder)]


def _memory() -> dict[str, int]:
    """Memory of this process in MB: anonymous, and pages of mapped files, which the kernel may drop."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) // 1024 for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))}


def main() -> None:
    """Measure one part and write it to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["definitions", "speed"], nargs="?", default="definitions")
    parser.add_argument("--knowledge", type=Path, default=knowledge_folder())
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=int, default=500)
    given = parser.parse_args()
    if given.part == "speed" and given.index is None:
        parser.error("speed needs --index, the folder of an existing or new index")
    figures = definitions() if given.part == "definitions" else speed(given.knowledge, given.index, given.queries)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[given.part] = receipt(f"benchmarks/retrieval.py {given.part}", **figures)
    write_json(RESULTS, results)


if __name__ == "__main__":
    main()
