"""Ways to damage text: tables, lists, JSON, YAML and XML."""

import gzip
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from damaged_files import BYTE_DAMAGE, Damage, remove, replace_by_folder

DEPTH = 20_000


def edit_text(path: Path, rng: random.Random, edit: Callable[[str, random.Random], str]) -> None:
    is_gzip = path.suffix == ".gz"
    content = gzip.decompress(path.read_bytes()) if is_gzip else path.read_bytes()
    text = edit(content.decode(), rng).encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(text) if is_gzip else text)


def edit_line(text: str, rng: random.Random, edit: Callable[[str], str]) -> str:
    lines = text.splitlines(keepends=True) or [""]
    place = rng.randrange(len(lines))
    lines[place] = edit(lines[place])
    return "".join(lines)


def edit_cell(text: str, rng: random.Random, value: str) -> str:
    lines = text.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    separator = "\t" if "\t" in lines[place] else "," if "," in lines[place] else " "
    cells = lines[place].rstrip("\n").split(separator)
    cells[rng.randrange(len(cells))] = value
    lines[place] = separator.join(cells) + "\n"
    return "".join(lines)


def drop_character(text: str, rng: random.Random) -> str:
    place = rng.randrange(max(1, len(text)))
    return text[:place] + text[place + 1 :]


def insert(text: str, rng: random.Random, value: str) -> str:
    place = rng.randrange(max(1, len(text)))
    return text[:place] + value + text[place:]


ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))

TEXT_DAMAGE: dict[str, Damage] = {
    name: partial(edit_text, edit=edit)
    for name, edit in {
        "a line removed": partial(edit_line, edit=lambda line: ""),
        "a line twice": partial(edit_line, edit=lambda line: line * 2),
        "an open quote": partial(edit_line, edit=lambda line: '"' + line),
        "a cell too many": partial(edit_line, edit=lambda line: line.rstrip("\n") + ",\t,7\n"),
        "a line of 5 MB": partial(edit_line, edit=lambda line: line.rstrip("\n") + "x" * 5_000_000 + "\n"),
        "a line of separators": partial(edit_line, edit=lambda line: ",\t" * 30_000 + "\n"),
        "a cell of text": partial(edit_cell, value="n/a?"),
        "a number without end": partial(edit_cell, value="9" * 5000),
        "1e400": partial(edit_cell, value="1e400"),
        "nan": partial(edit_cell, value="nan"),
        "a negative number": partial(edit_cell, value="-7"),
        "an escape sequence": partial(edit_cell, value="\x1b[2J\x1b[31mT cell"),
        "a formula": partial(edit_cell, value="=cmd|' /C calc'!A0"),
        "a character dropped": drop_character,
        "zero bytes": partial(insert, value="\0\0\0"),
        "bytes that are no UTF-8": partial(insert, value="\udcff\udcfe"),
        "reversed writing": partial(insert, value="\u202e"),
        "line ends of old Macs": lambda text, rng: text.replace("\n", "\r"),
        "the first line alone": lambda text, rng: text.splitlines(keepends=True)[0],
        "without the first line": lambda text, rng: "".join(text.splitlines(keepends=True)[1:]),
        "twice the whole": lambda text, rng: text * 2,
        "UTF-16": lambda text, rng: text.encode("utf-16").decode("utf-8", "surrogateescape"),
        "lines in another order": lambda text, rng: "".join(
            sorted(text.splitlines(keepends=True), key=lambda _: rng.random())
        ),
    }.items()
}
NESTED_DAMAGE: dict[str, Damage] = {
    name: partial(edit_text, edit=edit)
    for name, edit in {
        "20,000 brackets": lambda text, rng: "[" * DEPTH + "]" * DEPTH,
        "20,000 braces": lambda text, rng: '{"a": ' * DEPTH + "1" + "}" * DEPTH,
        "aliases of aliases": lambda text, rng: ALIASES,
        "a Python object": lambda text, rng: "corpus: !!python/object/apply:os.system ['touch outside/made']\n",
        "a key of another type": lambda text, rng: "{1: 2, null: 3, [a]: 4}\n",
        "a number": lambda text, rng: "7\n",
        "null": lambda text, rng: "null\n",
        "a large number": lambda text, rng: (
            "seed: " + "9" * 4999 + "\nschedule: {steps: [1e308, 99999999999999999999]}\n"
        ),
        "negative numbers": lambda text, rng: text.replace("1", "-1").replace("2", "-2"),
        "a merge of itself": lambda text, rng: "a: &a\n  <<: *a\n  b: 1\n",
        "dates": lambda text, rng: "seed: 2020-01-01\noutput: 12:30:45\n",
    }.items()
}


def damage_member(path: Path, rng: random.Random, damage: Damage, pattern: str = "*") -> None:
    """Damage a file of a folder."""
    members = sorted(member for member in path.rglob(pattern) if member.is_file() and member.stat().st_size)
    damage(rng.choice(members), rng)


FOLDER_DAMAGE: dict[str, Damage] = {
    f"a file: {name}": partial(damage_member, damage=damage) for name, damage in BYTE_DAMAGE.items()
}
FOLDER_DAMAGE |= {
    "a file missing": partial(damage_member, damage=remove),
    "a folder in place of a file": partial(damage_member, damage=replace_by_folder),
}


def text_in_folder(pattern: str, *families: dict[str, Damage]) -> dict[str, Damage]:
    """Damage to the text files of a folder."""
    return {
        f"{pattern}: {name}": partial(damage_member, damage=damage, pattern=pattern)
        for family in families
        for name, damage in family.items()
    }
