"""Recall of definitions by name in the passage search, and its latency among 100,000 passages.

    python experiments/retrieval.py definitions
    python experiments/retrieval.py speed --knowledge ../shared/knowledge --index /tmp/index100k

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
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from knowledge_passages import real_passages
from real_cells import knowledge_folder

from okrcell.evidence import Evidence
from okrcell.knowledge.passage_index import FusionSettings, PassageIndex
from okrcell.model.text_encoder import SentenceEncoder
from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import search_queries
from okrcell.provenance import provenance_record, write_json

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "retrieval.json"
QUERIES = 500
TUNING_SEED, REPORTED_SEED = 1, 0
"""Seeds of the drawn names; names of the reported draw are left out of the tuning draw."""
ZERO_WEIGHTS = {"words": 0.0, "fragments": 0.0, "meaning": 0.0}
SEARCH_SETTINGS = {
    "dense (plain MiniLM)": FusionSettings(**ZERO_WEIGHTS | {"meaning": 1.0}),
    "BM25, words": FusionSettings(**ZERO_WEIGHTS | {"words": 1.0}),
    "BM25, fragments": FusionSettings(**ZERO_WEIGHTS | {"fragments": 1.0}),
    "words + dense, equal, k = 60": FusionSettings(**ZERO_WEIGHTS | {"words": 0.5, "meaning": 0.5, "k": 60.0}),
    "hybrid (the default)": FusionSettings(),
}
WEIGHT_GRID = ((0.4, 0.0), (0.0, 0.4), (0.15, 0.15), (0.2, 0.2), (0.25, 0.25), (0.3, 0.3), (0.2, 0.3), (0.3, 0.2))
"""Weights of words and fragments in the tuning grid; the remainder is the weight of the dense vectors."""


class CachedSentenceEncoder:
    """Sentence encoder that caches the vectors of texts."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.name, self._encoder, self._vectors = encoder.name, encoder, {}

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, (text, dim)."""
        new_texts = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new_texts:
            self._vectors.update(zip(new_texts, self._encoder.embed_texts(new_texts), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def masked_definitions() -> Iterator[tuple[str, Evidence]]:
    """Yield every Cell Ontology name with its definition, without the name, its synonyms and their plurals."""
    cell_ontology = ontology("CL")
    for term in map(cell_ontology.term, cell_ontology.term_ids()):
        if term.definition:
            names = "|".join(map(re.escape, sorted((term.name, *term.synonyms), key=len, reverse=True)))
            text = re.sub(rf"(?<!\w)(?:{names})(?:s|es)?(?!\w)", "", term.definition, flags=re.IGNORECASE)
            text = " ".join(text.split())
            yield (
                term.name,
                Evidence(
                    text,
                    cell_ontology.name,
                    term.id,
                    cell_ontology.snapshot,
                    cell_ontology.licence,
                    "definition",
                    (term.id,),
                ),
            )


def definitions() -> dict[str, Any]:
    """Print recall@1, @5 and @10 of the definition of a name, and return the results."""
    pairs = list(masked_definitions())
    reported = np.random.default_rng(REPORTED_SEED).permutation(len(pairs))[:QUERIES]
    tuning_rows = [
        pair_row
        for pair_row in np.random.default_rng(TUNING_SEED).permutation(len(pairs))
        if pair_row not in set(reported)
    ]
    encoder = CachedSentenceEncoder(SentenceEncoder())
    encoder.embed_texts([name for name, _ in pairs])
    with tempfile.TemporaryDirectory() as folder:
        index = PassageIndex.build(Path(folder) / "index", (passage for _, passage in pairs), encoder)
        grid = {
            FusionSettings(words=words, fragments=fragments, meaning=1 - words - fragments, k=k)
            for (words, fragments), k in product(WEIGHT_GRID, (1.0, 3.0, 10.0, 60.0))
        }
        tuning = sorted(
            ((recall(index, pairs, tuning_rows[:QUERIES], fusion), fusion.model_dump()) for fusion in grid),
            key=lambda row: (row[0]["R@1"] + row[0]["R@10"], str(row[1])),
            reverse=True,
        )
        print(f"tuned on {QUERIES} other names; the best five:")
        for row in tuning[:5]:
            print(" ", *row)
        with_synonyms = [(search_queries(passage.record), passage) for _, passage in pairs]
        with_parents = [(query[:2], passage) for query, passage in with_synonyms]
        encoder.embed_texts([text for query, _ in with_synonyms for text in query])
        results = {
            f"{name}; {query}": {
                "reported": recall(index, query_pairs, reported, fusion),
                "all": recall(index, query_pairs, range(len(pairs)), fusion),
            }
            for query, query_pairs in {
                "name": pairs,
                "name, with parents": with_parents,
                "name, with parents, with synonyms": with_synonyms,
            }.items()
            for name, fusion in SEARCH_SETTINGS.items()
        }
    print(f"{len(pairs)} definitions; {QUERIES} names of seed {REPORTED_SEED}, and all names:")
    for name, row in results.items():
        print(f"  {name:62s}", row["reported"], row["all"])
    return {
        "definitions": len(pairs),
        "queries": QUERIES,
        "seeds": [TUNING_SEED, REPORTED_SEED],
        "tuning": tuning,
        "found": results,
    }


def recall(
    index: PassageIndex,
    questions: Sequence[tuple[str | tuple[str, ...], Evidence]],
    rows: Sequence[int],
    weights: FusionSettings,
) -> dict[str, float]:
    """Return recall@1, @5 and @10 of each name's own definition."""
    ranks = []
    for row in rows:
        text, passage = questions[row]
        records = [hit.evidence.record for hit in index.search(text, top=10, weights=weights)]
        ranks.append(records.index(passage.record) if passage.record in records else 10)
    return {f"R@{top}": round(float(np.mean(np.array(ranks) < top)), 3) for top in (1, 5, 10)}


def speed(knowledge: Path, folder: Path, queries: int) -> dict[str, Any]:
    """Print the latency of a query, including its vector, and of opening the index in a new process."""
    encoder = SentenceEncoder(limit=64)
    if not folder.exists():
        started = time.perf_counter()
        PassageIndex.build(
            folder, real_passages(knowledge), encoder, lambda done, total: print(done, total, flush=True)
        )
        print(f"built in {time.perf_counter() - started:.0f} s")
    opening = [
        json.loads(subprocess.run(_open_command(folder), check=True, capture_output=True).stdout) for _ in range(3)
    ]
    index = PassageIndex.open(folder, encoder)
    print(f"{len(index):,} passages; opened in new processes: {opening}")
    print(f"load average: {os.getloadavg()[0]:.1f}")
    queries_by_kind: dict[str, list[Any]] = {"profile": list(profile_queries(queries))}
    queries_by_kind["name"] = [text.split(",")[0] for text in queries_by_kind["profile"]]
    queries_by_kind["name and profile"] = list(zip(queries_by_kind["name"], queries_by_kind["profile"], strict=True))
    sources_by_mode = {"hybrid": None, "hybrid, one source": ["Cell Ontology"], "words alone": None}
    latencies: dict[str, Any] = {}
    for (kind, texts), (mode, sources) in product(queries_by_kind.items(), sources_by_mode.items()):
        weights = FusionSettings(meaning=0) if mode == "words alone" else FusionSettings()
        latencies[f"{kind}: {mode}"] = _time_queries(partial(index.search, sources=sources, weights=weights), texts)
    latencies["the vector of a profile alone"] = _time_queries(
        lambda text: encoder.embed_texts([text]), queries_by_kind["profile"]
    )
    for name, row in latencies.items():
        print(f"  {name:32s}", row)
    memory, disk = _memory(), sum(entry.stat().st_size for entry in folder.rglob("*")) / 1e6
    print(f"memory of the process, encoder included, MB: {memory}; on disk, MB: {disk:.0f}")
    return {
        "passages": len(index),
        "opening": opening,
        "milliseconds": latencies,
        "memory_MB": memory,
        "disk_MB": round(disk),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def profile_queries(n: int) -> Iterator[str]:
    """Yield queries like profiles: type, tissue, disease, stage, sex, drawn from the ontologies."""
    rng = np.random.default_rng(3)
    ontologies = [ontology(prefix) for prefix in ("CL", "UBERON", "MONDO", "HsapDv")]
    for _ in range(n):
        names = [source.term(source.term_ids()[rng.integers(len(source.term_ids()))]).name for source in ontologies]
        yield ", ".join([*names, "male" if rng.random() < 0.5 else "female"])


def _time_queries(run_query: Any, texts: Sequence[str]) -> dict[str, float]:
    for text in texts[:10]:
        run_query(text)
    wall_ms, cpu_ms = [], []
    for text in texts:
        started, cpu_started = time.perf_counter(), time.process_time()
        run_query(text)
        wall_ms.append((time.perf_counter() - started) * 1e3)
        cpu_ms.append((time.process_time() - cpu_started) * 1e3)
    figures = {"min": min(wall_ms), "median": np.median(wall_ms), "p95": np.quantile(wall_ms, 0.95)}
    # CPU time of all threads, independent of the load of the machine.
    figures |= {"processor, median": np.median(cpu_ms), "processor, p95": np.quantile(cpu_ms, 0.95)}
    return {name: round(float(value), 2) for name, value in figures.items()}


OPEN_SCRIPT = """
import json, sys, time
started = time.perf_counter()
from okrcell.knowledge.passage_index import FusionSettings
from okrcell.knowledge.passage_index import PassageIndex
imported = time.perf_counter()
index = PassageIndex.open(sys.argv[1])
opened = time.perf_counter()
quick = PassageIndex.open(sys.argv[1], check=False)
again = time.perf_counter()
quick.search("macrophage")
queried = time.perf_counter()
seconds = {"import": imported - started, "open, sha256 compared": opened - imported,
           "open, sizes compared": again - opened, "first question, words": queried - again}
print(json.dumps({name: round(value, 3) for name, value in seconds.items()}))
"""


def _open_command(folder: Path) -> list[str]:
    return [sys.executable, "-c", OPEN_SCRIPT, str(folder)]


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
    args = parser.parse_args()
    if args.part == "speed" and args.index is None:
        parser.error("speed needs --index, the folder of an existing or new index")
    if args.part == "speed" and args.knowledge is None:
        parser.exit(0, "No knowledge files: give --knowledge, or set OKRCELL_KNOWLEDGE to their folder.\n")
    figures = definitions() if args.part == "definitions" else speed(args.knowledge, args.index, args.queries)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[args.part] = provenance_record(f"experiments/retrieval.py {args.part}", **figures)
    write_json(RESULTS, results)


if __name__ == "__main__":
    main()
