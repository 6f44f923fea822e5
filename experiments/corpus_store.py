"""Read speed of shuffled cells by file layout: Arrow, zarr, h5ad.

Run ``python experiments/corpus_store.py`` (two minutes; ``--cells 10000`` is faster). Real counts are repeated with shuffled
rows up to ``--cells`` cells and written in every layout; reads as in training are timed. Each layout is read three times, in
processes of its own, so that memory and caches are not shared. The cold read comes first, after the kernel was asked to drop
the file from its cache; the others are warm.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pyarrow as pa
from scipy import sparse

BATCH_SIZE = 256
BLOCK_SIZE = 2048
N_APPENDED = 2048


def counts(cells: int) -> tuple[sparse.csr_matrix, str]:
    """Repeat a real count matrix up to ``cells`` rows, each repeat in another order; return it with its name."""
    data = Path(os.environ.get("OKRCELL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    source = data / "pretrain" / "zheng_pbmc_facs.h5ad"
    if source.exists():
        matrix, name = sparse.csr_matrix(anndata.read_h5ad(source).X), source.name
    else:
        import scanpy as sc

        raw = sc.datasets.pbmc68k_reduced().raw
        matrix, name = sparse.csr_matrix(raw.X).expm1(), "scanpy pbmc68k_reduced (765 genes)"
        matrix.data = np.round(matrix.data)
    rng = np.random.default_rng(0)
    repeats = -(-cells // matrix.shape[0])
    rows = np.concatenate([rng.permutation(matrix.shape[0]) for _ in range(repeats)])[:cells]
    matrix = sparse.csr_matrix(matrix[rows], dtype=np.float32)
    matrix.sort_indices()
    return matrix, name


class ArrowRows:
    """Arrow layout: lists of genes and values in record batches; rows are slices of the mapped file."""

    def __init__(self, gene: pa.DataType, value: pa.DataType, compression: str | None) -> None:
        self.schema = pa.schema([("gene", pa.list_(gene)), ("value", pa.list_(value))])
        self.options = pa.ipc.IpcWriteOptions(compression=compression)

    def write(self, matrix: sparse.csr_matrix, path: Path) -> None:
        """Write the matrix as a new shard, in blocks."""
        path.mkdir(exist_ok=True)
        file = path / f"{len(list(path.iterdir())):05d}.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, self.schema, options=self.options) as writer:
            for start in range(0, matrix.shape[0], BLOCK_SIZE):
                block = matrix[start : start + BLOCK_SIZE]
                offsets = pa.array(block.indptr.astype(np.int32))
                columns = [
                    pa.ListArray.from_arrays(offsets, pa.array(values.astype(field.type.value_type.to_pandas_dtype())))
                    for values, field in zip((block.indices, block.data), self.schema, strict=True)
                ]
                writer.write_batch(pa.record_batch(columns, schema=self.schema))

    append = write

    def reader(self, path: Path) -> Callable[[np.ndarray], sparse.csr_matrix]:
        """Open the store; the function returned reads rows in the given order."""
        blocks: list[Any] = []
        for file in sorted(path.iterdir()):
            with pa.memory_map(str(file)) as source:
                opened = pa.ipc.open_file(source.read_buffer())
            blocks += [(opened, index) for index in range(opened.num_record_batches)]
        compressed = self.options.compression is not None

        def views(block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            batch = blocks[block][0].get_batch(blocks[block][1])
            gene, value = batch.column(0), batch.column(1)
            return gene.offsets.to_numpy(), gene.values.to_numpy(), value.values.to_numpy()

        mapped = None if compressed else [views(block) for block in range(len(blocks))]

        def rows(indices: np.ndarray) -> sparse.csr_matrix:
            cached_blocks = dict.fromkeys(np.unique(indices // BLOCK_SIZE).tolist())
            if mapped is None:
                cached_blocks = {block: views(block) for block in cached_blocks}
            row_slices = []
            for index in indices.tolist():
                offsets, gene, value = (cached_blocks if mapped is None else mapped)[index // BLOCK_SIZE]
                start, end = offsets[index % BLOCK_SIZE : index % BLOCK_SIZE + 2].tolist()
                row_slices.append((gene[start:end], value[start:end]))
            indptr = np.cumsum([0, *(len(gene) for gene, _ in row_slices)])
            data = np.empty(indptr[-1], np.float32)
            genes = np.empty(indptr[-1], np.int32)
            np.concatenate([gene for gene, _ in row_slices], out=genes, casting="unsafe")
            np.concatenate([value for _, value in row_slices], out=data, casting="unsafe")
            return sparse.csr_matrix((data, genes, indptr), shape=(len(indices), N_GENES))

        return rows


class AnnDataRows:
    """AnnData layout: CSR group in an h5ad file or a zarr folder, read through anndata."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.kind, self.options = kind, options

    def write(self, matrix: sparse.csr_matrix, path: Path) -> None:
        """Write the whole matrix."""
        if self.kind == "h5ad":
            with h5py.File(path, "w") as file:
                anndata.io.write_elem(file, "X", matrix, dataset_kwargs=self.options)
        else:
            import zarr

            anndata.settings.zarr_write_format = 3
            anndata.settings.auto_shard_zarr_v3 = False
            anndata.io.write_elem(zarr.open_group(str(path), mode="w"), "X", matrix, dataset_kwargs=self.options)

    def _open(self, path: Path, mode: str) -> Any:
        if self.kind == "h5ad":
            return anndata.io.sparse_dataset(h5py.File(path, mode)["X"])
        import zarr

        return anndata.io.sparse_dataset(zarr.open_group(str(path), mode=mode)["X"])

    def append(self, matrix: sparse.csr_matrix, path: Path) -> None:
        """Add rows at the end."""
        stored = self._open(path, "r+")
        stored.append(matrix)
        if self.kind == "h5ad":
            stored.group.file.close()

    def reader(self, path: Path) -> Callable[[np.ndarray], sparse.csr_matrix]:
        """Open the store; the function returned reads rows in the given order."""
        stored = self._open(path, "r")

        def rows(indices: np.ndarray) -> sparse.csr_matrix:
            if len(indices) == indices[-1] - indices[0] + 1 and (np.diff(indices) == 1).all():
                return stored[int(indices[0]) : int(indices[-1]) + 1]
            order = np.argsort(indices)
            return stored[indices[order]][np.argsort(order)]

        return rows


N_GENES = 65_535
STORES: dict[str, ArrowRows | AnnDataRows] = {
    "Arrow, uint32 + float32": ArrowRows(pa.uint32(), pa.float32(), None),
    "Arrow, uint16 + uint16": ArrowRows(pa.uint16(), pa.uint16(), None),
    "Arrow, uint32 + float32, lz4": ArrowRows(pa.uint32(), pa.float32(), "lz4"),
    "Arrow, uint32 + float32, zstd": ArrowRows(pa.uint32(), pa.float32(), "zstd"),
    "zarr v3 CSR, default chunks": AnnDataRows("zarr"),
    "zarr v3 CSR, sharded": AnnDataRows("zarr", chunks=(65_536,), shards=(65_536 * 64,)),
    "zarr v3 CSR, sharded, small raw chunks": AnnDataRows("zarr", chunks=(8192,), shards=(8192 * 512,), compressors=()),
    "h5ad CSR, plain": AnnDataRows("h5ad"),
    "h5ad CSR, gzip": AnnDataRows("h5ad", compression="gzip"),
}


def drop_page_cache(path: Path) -> None:
    """Ask the kernel to drop the pages of ``path`` from its cache."""
    for file in [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]:
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def read(store: str, path: Path, cells: int, seed: int) -> dict[str, float]:
    """Time this fresh process: open, cold shuffled, warm shuffled, sequential; then read its memory use."""
    rng = np.random.default_rng(seed)
    drop_page_cache(path)
    start_open = time.perf_counter()
    rows = STORES[store].reader(path)
    open_seconds = time.perf_counter() - start_open

    def shuffled(minibatches: int) -> float:
        indices_by_batch = rng.integers(0, cells, (minibatches, BATCH_SIZE))
        start = time.perf_counter()
        for indices in indices_by_batch:
            rows(indices)
        return indices_by_batch.size / (time.perf_counter() - start)

    cold = shuffled(4)
    shuffled(2)
    warm = shuffled(8)
    start = time.perf_counter()
    n_sequential = min(cells, 8 * BLOCK_SIZE)
    for first in range(0, n_sequential, BLOCK_SIZE):
        rows(np.arange(first, min(first + BLOCK_SIZE, cells)))
    sequential = n_sequential / (time.perf_counter() - start)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "open_ms": open_seconds * 1e3,
        "cold_rows_s": cold,
        "shuffled_rows_s": warm,
        "sequential_rows_s": sequential,
        "peak_rss_mb": int(status["VmHWM"].split()[0]) / 1024,
        "own_mb": int(status["RssAnon"].split()[0]) / 1024,
    }


def size(path: Path) -> float:
    """Return megabytes on disk."""
    return sum(f.stat().st_size for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file()) / 1e6


def measure(cells: int, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """Write, read and append every layout, ``repeats`` times; the layouts take turns."""
    matrix, source = counts(cells)
    matrix.resize(cells, N_GENES)
    print(f"{source}: {cells} cells, {matrix.nnz / cells:.0f} genes a cell", file=sys.stderr)
    results: list[dict[str, Any]] = []
    for name, store in STORES.items():
        start = time.perf_counter()
        store.write(matrix, folder / name)
        results.append(
            {"store": name, "disk_mb": size(folder / name), "write_s": time.perf_counter() - start, "runs": []}
        )
    for repeat in range(repeats):
        for entry in results:
            path = folder / entry["store"]
            order = [sys.executable, __file__, "--read", entry["store"], str(path), str(cells), str(repeat)]
            run = json.loads(subprocess.run(order, check=True, capture_output=True, text=True).stdout)
            start = time.perf_counter()
            STORES[entry["store"]].append(matrix[:N_APPENDED], path)
            entry["runs"].append(run | {"append_ms": (time.perf_counter() - start) * 1e3})
        print(f"repeat {repeat + 1} of {repeats} done", file=sys.stderr)
    return results


COLUMNS = {
    "shuffled_rows_s": "shuffled, rows/s",
    "cold_rows_s": "shuffled cold, rows/s",
    "sequential_rows_s": "sequential, rows/s",
    "open_ms": "open, ms",
    "append_ms": f"append {N_APPENDED} cells, ms",
    "peak_rss_mb": "peak RSS, MB",
    "own_mb": "of it anonymous, MB",
}


def table(results: list[dict[str, Any]]) -> str:
    """Format the medians with their range (minimum to maximum), and the ratio to the first layout."""
    lines = ["| layout | disk, MB | " + " | ".join(COLUMNS.values()) + " | shuffled, ratio |"]
    lines.append("|" + "---|" * (len(COLUMNS) + 3))
    base = float(np.median([run["shuffled_rows_s"] for run in results[0]["runs"]]))
    for entry in results:
        cells = []
        for column in COLUMNS:
            values = [run[column] for run in entry["runs"]]
            low, middle, high = (f"{value:,.0f}" for value in (min(values), float(np.median(values)), max(values)))
            cells.append(f"{middle} ({low} to {high})")
        ratio = float(np.median([run["shuffled_rows_s"] for run in entry["runs"]])) / base
        lines.append(f"| {entry['store']} | {entry['disk_mb']:,.0f} | " + " | ".join(cells) + f" | {ratio:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=30_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write the stores (default: a temporary folder)")
    parser.add_argument("--read", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        store, path, cells, seed = args.read
        print(json.dumps(read(store, Path(path), int(cells), int(seed))))
        return
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    start = time.perf_counter()
    try:
        results = measure(args.cells, args.repeats, folder)
    finally:
        shutil.rmtree(folder)
    packages = ", ".join(f"{name} {version(name)}" for name in ("anndata", "pyarrow", "zarr", "h5py", "numpy", "scipy"))
    print(table(results))
    print(
        f"\n{time.perf_counter() - start:.0f} s; {os.cpu_count()} cores; Python {platform.python_version()}; {packages}"
    )


if __name__ == "__main__":
    main()
