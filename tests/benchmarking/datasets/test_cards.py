"""Cards say where files come from, and files are held against them."""

from pathlib import Path

import pytest

from okrcell.benchmarking.datasets.datasets import cards, cards_of, find_file, joined_datasets, load_dataset, title_of
from okrcell.benchmarking.datasets.splits import load_side, shared_types, transfers
from okrcell.benchmarking.tasks.task import TASKS, get_task
from okrcell.errors import InputError

CD4, NAIVE, MEMORY, B = "CL:0000624", "CL:0000895", "CL:0000897", "CL:0000236"


def test_every_set_of_every_task_has_cards():
    for task in TASKS:
        for name in get_task(task).SETS:
            for dataset in get_task(task).datasets_of(name):
                assert cards_of(dataset)
                assert title_of(dataset)
            assert get_task(task).items(name, (0, 1))


def test_cards_are_complete_and_joined_ones_exist():
    assert all(
        card.file.startswith("mouse/" if card.species == "mouse" else "evaluate/")
        and card.source
        and card.licence
        and card.studies
        for card in cards().values()
    )
    assert all(name in cards() for name in joined_datasets().values() for name in name.of)


def test_a_type_one_side_alone_names_becomes_the_broader_one_of_the_other():
    assert shared_types([NAIVE, MEMORY, B], [CD4, B]) == {NAIVE: CD4, MEMORY: CD4}
    assert shared_types([NAIVE, MEMORY], [NAIVE, MEMORY, B]) == {}
    # Both sides name the narrow and the broad one: they stay apart.
    assert shared_types([NAIVE, CD4], [NAIVE, CD4]) == {}


def test_frozen_types_are_what_the_rule_gives(shared_data: Path):
    for transfer in transfers().values():
        reference, query = (
            sorted({*load_side(side, {}, shared_data).term_ids}) for side in (transfer.reference, transfer.query)
        )
        all_types = [
            sorted({*load_dataset(side.set, shared_data).term_ids} - {""})
            for side in (transfer.reference, transfer.query)
        ]
        assert transfer.types == shared_types(*all_types), transfer.name
        assert set(reference) <= set(all_types[0])
        assert set(query) <= set(all_types[1])


def test_a_set_is_read_without_its_labels_in_sight(shared_data: Path):
    dataset = load_dataset("wang", shared_data)
    assert list(dataset.cells.obs.columns) == []
    assert dataset.cells.uns["kind"] == "linear"
    assert (dataset.labels == dataset.term_ids).all()
    assert dataset.author_labels[0] == "alpha" or set(dataset.author_labels) >= {"alpha", "beta"}


def test_joined_sets_share_genes_and_tell_their_files_apart(shared_data: Path):
    dataset = load_dataset("islets", shared_data)
    parts = [load_dataset(name, shared_data) for name in ("segerstolpe", "xin", "wang")]
    assert len(dataset) == sum(map(len, parts))
    assert set(dataset.cells.var_names) == set.intersection(*(set(part.cells.var_names) for part in parts))
    assert dataset.batch["study"].tolist() == [part.name for part in parts for _ in range(len(part))]
    lines = load_dataset("cellmix", shared_data)
    assert set(lines.author_labels) == {"A549", "H838", "H2228", "H1975", "HCC827"}


def test_a_file_that_is_missing_or_another_is_refused(tmp_path):
    card = cards()["wang"]
    with pytest.raises(InputError, match=r"no evaluate/wang_pancreas.h5ad in"):
        find_file(card, tmp_path)
    (tmp_path / "wang_pancreas.h5ad").write_bytes(b"other cells")
    with pytest.raises(InputError, match=r"not the file of the set wang: its sha256 is"):
        find_file(card, tmp_path)
    with pytest.raises(InputError, match=r"Name the folder that holds evaluate/wang_pancreas.h5ad with --data"):
        find_file(card, None)


def test_a_file_with_an_address_is_fetched_and_checked(tmp_path, monkeypatch):
    import hashlib

    served = tmp_path / "served.h5ad"
    served.write_bytes(b"cells")
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    changes = {"url": served.as_uri(), "sha256": hashlib.sha256(b"cells").hexdigest()}
    monkeypatch.setattr("pooch.retrieve", _copied)
    assert find_file(cards()["wang"].model_copy(update=changes), None).read_bytes() == b"cells"
    with pytest.raises(InputError, match="could not be fetched"):
        find_file(cards()["wang"].model_copy(update={**changes, "sha256": "0" * 64}), None)


def _copied(url, known_hash, path, progressbar):
    """Do what pooch does, for a file of this disk."""
    import hashlib
    from urllib.parse import urlparse

    path.mkdir(exist_ok=True)
    content = Path(urlparse(url).path).read_bytes()
    if known_hash != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise ValueError("SHA256 hash of downloaded file does not match the known hash")
    (path / "fetched").write_bytes(content)
    return str(path / "fetched")
