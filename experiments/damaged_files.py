"""Small valid files of every format that okrcell reads, and ways to damage them."""

import csv
import gzip
import io
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.io import mmwrite

N_CELLS = 40
TYPES = ("B cell", "CD8-positive, alpha-beta T cell", "monocyte", "natural killer cell")
Damage = Callable[[Path, random.Random], None]


def small_cells() -> ad.AnnData:
    """Counts of a few blood cells with the genes of a file that scanpy ships."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blood = sc.datasets.pbmc68k_reduced().raw.to_adata()[:N_CELLS].copy()
    blood.X = sparse.csr_matrix(np.rint(np.expm1(blood.X.toarray()) * 3), dtype=np.float32)
    obs = pd.DataFrame(index=blood.obs_names)
    obs["cell_type"] = pd.Categorical([TYPES[i % len(TYPES)] for i in range(N_CELLS)])
    obs["tissue"], obs["donor"] = "blood", [f"donor{i % 3}" for i in range(N_CELLS)]
    return ad.AnnData(blood.X, obs=obs, var=blood.var[[]])


def make_h5ad(path: Path) -> None:
    adata = small_cells()
    adata.layers["counts"] = adata.X.copy()
    adata.raw = adata.copy()
    adata.obsm["X_pca"] = np.ones((N_CELLS, 2), dtype=np.float32)
    adata.uns["colors"] = {"B cell": "red", "levels": np.arange(3)}
    adata.write_h5ad(path)


def make_dense_h5ad(path: Path) -> None:
    adata = small_cells()
    adata.X = adata.X.toarray()
    adata.write_h5ad(path)


def make_zarr(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small_cells().write_zarr(path)


def make_10x(path: Path, version: int) -> None:
    adata = small_cells()
    group, names = ("matrix", "features") if version == 3 else ("GRCh38", "")
    with h5py.File(path, "w") as file:
        target: Any = file.create_group(group)
        target["data"], target["indices"] = adata.X.data.astype("int32"), adata.X.indices.astype("int64")
        target["indptr"], target["shape"] = adata.X.indptr.astype("int64"), np.array(adata.shape[::-1], dtype="int32")
        target["barcodes"] = np.array(adata.obs_names, dtype="S")
        symbols = np.array(adata.var_names, dtype="S")
        if version == 3:
            features = target.create_group(names)
            features["id"], features["name"] = symbols, symbols
            features["feature_type"] = np.array([b"Gene Expression"] * len(symbols))
        else:
            target["genes"], target["gene_names"] = symbols, symbols


def make_mtx(path: Path) -> None:
    adata = small_cells()
    path.mkdir()
    mmwrite(str(path / "matrix.mtx"), adata.X.T.astype(int))
    (path / "barcodes.tsv").write_text("".join(f"{name}\n" for name in adata.obs_names))
    (path / "features.tsv").write_text("".join(f"{name}\t{name}\tGene Expression\n" for name in adata.var_names))


def make_loom(path: Path) -> None:
    adata = small_cells()
    with h5py.File(path, "w") as file:
        file["matrix"] = adata.X.T.toarray()
        file["row_attrs/Gene"] = np.array(adata.var_names, dtype="S")
        file["col_attrs/CellID"] = np.array(adata.obs_names, dtype="S")
        file["col_attrs/cell_type"] = np.array(adata.obs["cell_type"], dtype="S")


def make_table(path: Path) -> None:
    adata = small_cells()
    text = adata.to_df().to_csv(sep="\t" if ".tsv" in path.suffixes else ",", float_format="%g").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def make_model(path: Path) -> None:
    from importlib.resources import files

    shutil.copytree(str(files("okrcell") / "models" / "mini"), path)


def write_rows(path: Path, *rows: tuple[str, ...]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t" if ".tsv" in path.suffixes else ",").writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def make_knowledge(path: Path) -> None:
    path.mkdir()
    write_rows(
        path / "PanglaoDB_markers_27_Mar_2020.tsv",
        ("species", "official gene symbol", "cell type", "organ", "canonical marker", "sensitivity_human", "specificity_human"),
        *(("Mm Hs", gene, "B cells", "Immune system", "1", "0.9", "0.05") for gene in ("MS4A1", "CD79A", "CD19")),
    )  # fmt: skip
    write_rows(
        path / "human_genes.csv.gz",
        ("ensembl_id", "symbol", "name", "entrez_id", "summary"),
        ("ENSG00000156738", "MS4A1", "membrane spanning 4-domains A1", "931", "It is expressed in B cells."),
        ("ENSG00000177455", "CD19", "CD19 molecule", "930", "It is expressed in B cells."),
    )
    write_rows(
        path / "cellmarker_accordion_by_cl.csv.gz",
        ("species", "CL_ID", "marker", "marker_type", "resources"),
        ("Human", "CL:0000236", "MS4A1", "positive", "Abcam|ASCT+B"),
    )
    write_rows(
        path / "cellmarker_accordion_healthy.csv.gz",
        ("species", "CL_ID", "marker", "marker_type", "Uberon_ID", "resource"),
        ("Human", "CL:0000236", "CD19", "positive", "UBERON:0000178", "Abcam"),
    )


def make_literature(path: Path) -> None:
    records = [{"pmid": str(i), "title": "B cells", "abstract": f"B cells express MS4A1 ({i})."} for i in range(5)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def make_pretrain_settings(path: Path) -> None:
    path.write_text(
        "corpus: corpus\noutput: run\nseed: 1\nschedule: {steps: [2, 0]}\nstream: {batch_size: 16}\n"
        "model: {tokeniser: {limit: 64}, cell_encoder: {kind: latent, width: 32, blocks: 1}}\n"
    )


def make_enrich_settings(path: Path) -> None:
    path.write_text("writer: template\nsources: [ontologies]\nscreening: {threshold: 0.5}\n")


def make_candidates(path: Path) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(list(TYPES)))
    elif path.suffix == ".csv":
        path.write_text('name,note\nB cell,1\n"CD8-positive, alpha-beta T cell",2\nmonocyte,3\n')
    elif path.suffix == ".yaml":
        path.write_text("- B cell\n- monocyte\n- natural killer cell\n")
    else:
        path.write_text("\n".join(TYPES) + "\n")


def make_overrides(path: Path) -> None:
    write_rows(
        path,
        ("column", "label", "tissue", "cells", "term_id", "term_name", "how", "score", "runners_up"),
        ("cell_type", "B cell", "UBERON:0000178", "10", "CL:0000236", "B cell", "name", "1.0", ""),
        ("tissue", "blood", "", "40", "UBERON:0000178", "blood", "name", "1.0", ""),
    )


def make_corpus(path: Path) -> None:
    from okrcell.data.prepare import prepare

    source = path.with_name("first-study.h5ad")
    small_cells().write_h5ad(source)
    prepare([source], path)


def make_descriptions(path: Path) -> None:
    from okrcell.tl import enrich

    enrich(small_cells(), path)


# Damage to the bytes of any file.


def truncate(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def cut_end(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - rng.randint(1, 40))])


def flip_bits(path: Path, rng: random.Random, count: int) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(count):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def flip_in_header(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(4):
        content[rng.randrange(min(2048, len(content)))] = rng.randrange(256)
    path.write_bytes(content)


def overwrite(path: Path, rng: random.Random, *, zeros: bool) -> None:
    content = bytearray(path.read_bytes())
    length = max(1, len(content) // 8)
    start = rng.randrange(len(content))
    content[start : start + length] = bytes(length) if zeros else rng.randbytes(length)
    path.write_bytes(content)


def shuffle_blocks(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    size = max(1, len(content) // 16)
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    rng.shuffle(blocks)
    path.write_bytes(b"".join(blocks))


def repeat_block(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    start = rng.randrange(len(content))
    path.write_bytes(content[:start] + content[start // 2 : start] * 3 + content[start:])


def add_garbage(path: Path, rng: random.Random, *, front: bool) -> None:
    content, garbage = path.read_bytes(), rng.randbytes(300)
    path.write_bytes(garbage + content if front else content + garbage)


def replace_content(path: Path, rng: random.Random, content: bytes) -> None:
    path.write_bytes(content)


def replace_by_folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def replace_by_link_to_itself(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def replace_by_pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def remove(path: Path, rng: random.Random) -> None:
    path.unlink()


BYTE_DAMAGE: dict[str, Damage] = {
    "cut at random": truncate,
    "cut near the end": cut_end,
    "one bit flipped": partial(flip_bits, count=1),
    "30 bits flipped": partial(flip_bits, count=30),
    "2000 bits flipped": partial(flip_bits, count=2000),
    "bytes of the header changed": flip_in_header,
    "a block of zeros": partial(overwrite, zeros=True),
    "a block of noise": partial(overwrite, zeros=False),
    "blocks shuffled": shuffle_blocks,
    "a block repeated": repeat_block,
    "garbage in front": partial(add_garbage, front=True),
    "garbage at the end": partial(add_garbage, front=False),
    "empty": partial(replace_content, content=b""),
    "noise": lambda path, rng: path.write_bytes(rng.randbytes(4000)) and None,
    "a web page": partial(replace_content, content=b"<!doctype html><html><body>404 Not Found</body></html>\n"),
    "a gzip of nothing": partial(replace_content, content=gzip.compress(b"")),
    "the signature of HDF5 alone": partial(replace_content, content=b"\x89HDF\r\n\x1a\n"),
    "a folder": replace_by_folder,
    "a link to itself": replace_by_link_to_itself,
    "a named pipe": replace_by_pipe,
}

# Damage to the structure of an HDF5 file, which stays readable.


def hdf5_datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def replace_dataset(file: h5py.File, name: str, values: Any) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    for key, value in attributes.items():
        file[name].attrs[key] = value


def change_dtype(file: h5py.File, rng: random.Random, dtype: str) -> None:
    name = rng.choice(hdf5_datasets(file))
    values = np.asarray(file[name][()])
    if dtype == "S5":
        replace_dataset(file, name, np.full(values.shape, b"\xff\xfe\x00ab", dtype="S5"))
    elif values.dtype.kind in "OS":
        replace_dataset(file, name, np.arange(values.size).reshape(values.shape).astype(dtype))
    else:
        with np.errstate(all="ignore"):
            replace_dataset(file, name, values.astype(dtype))


def change_shape(file: h5py.File, rng: random.Random, change: Callable[[Any], Any]) -> None:
    name = rng.choice([name for name in hdf5_datasets(file) if file[name].shape])
    replace_dataset(file, name, change(file[name][()]))


def change_numbers(file: h5py.File, rng: random.Random, value: float) -> None:
    name = rng.choice([name for name in hdf5_datasets(file) if file[name].dtype.kind in "iuf" and file[name].size])
    values = file[name][()]
    with np.errstate(all="ignore"):
        np.ravel(values)[rng.randrange(values.size)] = np.array(value).astype(values.dtype)
    replace_dataset(file, name, values)


def change_pointers(file: h5py.File, rng: random.Random, values: Callable[[Any], Any]) -> None:
    names = [name for name in hdf5_datasets(file) if name.rpartition("/")[2] in {"indptr", "indices", "codes"}]
    name = rng.choice(names or hdf5_datasets(file))
    replace_dataset(file, name, values(np.asarray(file[name][()])))


def declare_size(file: h5py.File, rng: random.Random, length: int) -> None:
    """Declare a large dataset of which nothing is stored."""
    name = rng.choice([name for name in hdf5_datasets(file) if file[name].shape and file[name].dtype.kind != "O"])
    dataset, attributes = file[name], dict(file[name].attrs)
    shape = (length, *dataset.shape[1:])
    dtype = dataset.dtype
    del file[name]
    file.create_dataset(name, shape=shape, dtype=dtype, chunks=(min(length, 1 << 16), *shape[1:]), compression="gzip")
    for key, value in attributes.items():
        file[name].attrs[key] = value


def change_attribute(file: h5py.File, rng: random.Random, value: Any) -> None:
    items: list[str] = []
    file.visititems(lambda name, item: items.append(name) if len(item.attrs) else None)
    name = rng.choice(items or ["/"])
    for key in [rng.choice(list(file[name].attrs) or ["shape"])]:
        file[name].attrs[key] = value


def delete_member(file: h5py.File, rng: random.Random) -> None:
    names: list[str] = []
    file.visit(names.append)
    del file[rng.choice(names)]


def swap_member(file: h5py.File, rng: random.Random) -> None:
    names: list[str] = []
    file.visit(names.append)
    name = rng.choice(names)
    was_group = isinstance(file[name], h5py.Group)
    del file[name]
    if was_group:
        file[name] = np.arange(3)
    else:
        file.create_group(name)


def nest_deeply(file: h5py.File, rng: random.Random) -> None:
    group: Any = file.require_group("uns") if not isinstance(file.get("uns"), h5py.Dataset) else file
    for _ in range(600):
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "dict", "0.1.0"
        group = group.create_group("a")


def link_to_parent(file: h5py.File, rng: random.Random) -> None:
    group: Any = file.require_group("uns")
    group["itself"] = group


def link_outside(file: h5py.File, rng: random.Random) -> None:
    name = rng.choice([name for name in ("uns", "obsm", "layers", "X", "matrix") if name in file] or ["uns"])
    if name in file:
        del file[name]
    file[name] = h5py.ExternalLink("../outside/secret.h5", "/")


def store_outside(file: h5py.File, rng: random.Random) -> None:
    group: Any = file.require_group("uns")
    dataset = group.create_dataset("text", shape=(24,), dtype="u1", external=[("../outside/secret.txt", 0, 24)])
    dataset.attrs["encoding-type"], dataset.attrs["encoding-version"] = "array", "0.2.0"


def edit_hdf5(path: Path, rng: random.Random, edit: Callable[[h5py.File, random.Random], None]) -> None:
    with h5py.File(path, "r+") as file:
        edit(file, rng)


HUGE = 1 << 42
HDF5_DAMAGE: dict[str, Damage] = {
    name: partial(edit_hdf5, edit=edit)
    for name, edit in {
        "text in place of numbers": partial(change_dtype, dtype="S5"),
        "numbers of 8 bits": partial(change_dtype, dtype="i1"),
        "real numbers": partial(change_dtype, dtype="f8"),
        "complex numbers": partial(change_dtype, dtype="c16"),
        "truth values": partial(change_dtype, dtype="?"),
        "shorter": partial(change_shape, change=lambda values: values[: len(values) // 2]),
        "longer": partial(change_shape, change=lambda values: np.concatenate([values, values])),
        "without entries": partial(change_shape, change=lambda values: values[:0]),
        "one more axis": partial(change_shape, change=lambda values: np.asarray(values)[:, None]),
        "a scalar": partial(change_shape, change=lambda values: np.asarray(values).flat[0]),
        "not a number": partial(change_numbers, value=np.nan),
        "infinite": partial(change_numbers, value=np.inf),
        "negative": partial(change_numbers, value=-5),
        "a large number": partial(change_numbers, value=2.0**62),
        "pointers reversed": partial(change_pointers, values=lambda values: values[::-1].copy()),
        "pointers negative": partial(change_pointers, values=lambda values: -np.abs(values) - 1),
        "pointers out of range": partial(change_pointers, values=lambda values: values + (1 << 30)),
        "pointers of text": partial(change_pointers, values=lambda values: values.astype("S")),
        "2^42 entries declared": partial(declare_size, length=HUGE),
        "400 million entries declared": partial(declare_size, length=400_000_000),
        "an attribute of text": partial(change_attribute, value="nonsense"),
        "an attribute of large numbers": partial(change_attribute, value=np.array([1 << 60, 1 << 60])),
        "an attribute of negative numbers": partial(change_attribute, value=np.array([-1, -1])),
        "an empty attribute": partial(change_attribute, value=h5py.Empty("f4")),
        "a member deleted": delete_member,
        "a member of another kind": swap_member,
        "600 levels deep": nest_deeply,
        "a group inside itself": link_to_parent,
        "a link to another file": link_outside,
        "storage in another file": store_outside,
    }.items()
}
