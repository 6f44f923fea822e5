"""The method page is true: what it names is there, what it says of the settings is so, and no equation is left out.

``python tests/test_method_page.py`` writes the page's generated tables anew.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from okrcell.descriptions.enrich import EnrichSettings
from okrcell.losses.objective import ABLATIONS, PRESETS, ObjectiveSettings
from okrcell.settings import load_settings
from okrcell.training.settings import PretrainSettings

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "okrcell"
METHOD = REPOSITORY / "docs" / "method.md"
PAGES = [METHOD, REPOSITORY / "docs" / "how-to" / "robust.md"]
EQUATIONS = range(1, 22)
Leaves = dict[str, Any]


def leaves(values: dict[str, Any], above: str = "") -> Leaves:
    """Name every choice by its path, such as ``objective.bank.size``."""
    found: Leaves = {}
    for name, value in values.items():
        found |= leaves(value, f"{above}{name}.") if isinstance(value, dict) and value else {above + name: value}
    return found


def of_file(name: str) -> Leaves:
    return leaves(load_settings(PretrainSettings, REPOSITORY / "configs" / name).model_dump(mode="json"))


def of_defaults() -> Leaves:
    run = PretrainSettings(corpus=Path("corpus"), output=Path("run")).model_dump(mode="json")
    return leaves(run) | leaves(EnrichSettings().model_dump(mode="json"))


def annotated(path: str) -> Any:
    """Find the type of a setting, with its bounds."""
    kinds: list[Any] = [PretrainSettings, EnrichSettings]
    for name in path.split("."):
        kind = next((one for one in kinds if name in one.model_fields), None)
        assert kind is not None, f"there is no setting {path}"
        field = kind.model_fields[name]
        kinds = [one for one in (field.annotation, *get_args(field.annotation)) if is_settings(one)]
    return field.rebuild_annotation()


def is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def words_of(kind: Any) -> set[str]:
    """Take the words that a setting may have."""
    if get_origin(kind) is Literal:
        return {word for word in get_args(kind) if isinstance(word, str)}
    return set().union(*(words_of(one) for one in get_args(kind)))


# The generated tables.


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def word(value: Any) -> str:
    """Write a value as a settings file has it."""
    return yaml.safe_dump(value, default_flow_style=True).replace("...", "").strip()


def presets() -> str:
    """Lay the presets side by side, every switch; bold is what is not the paper's."""
    by_name = {name: leaves(ObjectiveSettings.model_validate({"preset": name}).model_dump()) for name in PRESETS}
    rows = []
    for path in by_name["faithful"]:
        values = [by_name[name][path] for name in PRESETS]
        cells = [word(value) if value == by_name["faithful"][path] else f"**{word(value)}**" for value in values]
        rows.append([f"`{path}`", *cells])
    return table(["switch", *(f"`{name}`" for name in PRESETS)], [row for row in rows if row[0] != "`preset`"])


def ladder() -> str:
    """Tell what each rung is."""
    rows = []
    for name, choices in ABLATIONS.items():
        settings = ObjectiveSettings.model_validate(choices)
        apart = ", ".join(f"`{path}: {word(value)}`" for path, value in settings.deviations.items())
        rows.append([f"`{name}`", f"`{settings.preset}`", apart])
    return table(["rung", "preset", "but"], rows)


def runs() -> str:
    """Lay three whole settings side by side, what differs; the objective has its own table."""
    columns = {"default": of_defaults(), "`paper.yaml`": of_file("paper.yaml"), "`mini.yaml`": of_file("mini.yaml")}
    paper_values = columns["`paper.yaml`"]
    rooms = ("model", "stream", "schedule", "compute.precision", "compute.devices", "compute.nodes", "compute.gather")
    rows = [
        [f"`{path}`", *(word(values[path]) for values in columns.values())]
        for path in paper_values
        if path.startswith(rooms) and len({word(values[path]) for values in columns.values()}) > 1
    ]
    return table(["setting", *columns], rows)


GENERATED = {"presets": presets, "ladder": ladder, "runs": runs}


def block(name: str) -> str:
    return f"<!-- {name}: generated -->\n\n{GENERATED[name]()}\n\n<!-- end of {name} -->"


def rewritten(page: str) -> str:
    for name in GENERATED:
        pattern = re.compile(rf"<!-- {name}: generated -->.*?<!-- end of {name} -->", re.DOTALL)
        page, times = pattern.subn(lambda _, name=name: block(name), page)
        assert times == 1, f"the page has {times} tables '{name}'"
    return page


# What the pages say.


def page_text(path: Path = METHOD) -> str:
    return path.read_text(encoding="utf-8")


def tables(page: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Read the tables of a page: head and rows."""
    for lines in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines.splitlines()]
        yield cells[0], cells[2:]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def choices(head: str) -> list[tuple[str, str, str]]:
    """Take setting, stated value and what else is offered from the tables that state values under ``head``."""
    rows = chain.from_iterable(
        rows for heads, rows in tables(page_text()) if heads[:3] == ["setting", head, "also offered"]
    )
    return [(codes(row[0])[0], row[1], row[2]) for row in rows]


def names_of(tree: ast.AST, above: str = "") -> set[str]:
    """Name what a file defines: ``name``, ``Class.name``."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            found |= {above + node.name} | names_of(node, f"{above}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            found.add(above + node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {above + target.id for target in targets if isinstance(target, ast.Name)}
    return found


def equations_named(text: str) -> set[int]:
    """Read "E9" and "E12 to E20"."""
    spans = re.findall(r"\bE(\d+)(?: to E(\d+))?\b", text)
    return set(chain.from_iterable(range(int(first), int(last or first) + 1) for first, last in spans))


@pytest.fixture(scope="module")
def overview() -> list[list[str]]:
    """Rows of the table of equations: number, what it says, where it is, whence."""
    return next(rows for head, rows in tables(page_text()) if head[0] == "equation")


def test_each_equation_appears_once_and_in_order(overview):
    assert [row[0] for row in overview] == [f"E{number}" for number in EQUATIONS]


def test_each_equation_is_told_below_the_table():
    explanations = page_text().partition("## 2.")[2]
    assert equations_named(explanations) >= set(EQUATIONS)


def test_the_file_that_holds_an_equation_names_it(overview):
    for number, _, where, _ in overview:
        files = {code.partition("::")[0] for code in codes(where)}
        assert any(int(number[1:]) in equations_named(page_text(SOURCE / file)) for file in files), number


def test_each_equation_says_whose_it_is(overview):
    for number, *_, whence in overview:
        assert whence.split(",")[0] in {"paper", "reconstruction", "ours"}, number


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_function_that_a_page_names_is_there(page):
    for code in codes(page_text(page)):
        path, colons, name = code.partition("::")
        assert not colons or name in names_of(ast.parse(page_text(SOURCE / path))), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page_text(page)):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.parametrize("head", ["faithful", "default"])
def test_a_stated_value_is_the_value(head):
    values = of_file("paper.yaml") if head == "faithful" else of_defaults()
    stated = choices(head)
    assert stated
    for path, value, _ in stated:
        assert path in values, f"there is no setting {path}"
        assert yaml.safe_load(value) == values[path], path


def test_every_choice_of_the_objective_is_told():
    documented_paths = {path for path, *_ in choices("faithful")}
    all_of_them = {f"objective.{path}" for path in leaves(ObjectiveSettings().model_dump())}
    assert all_of_them - documented_paths == {"objective.preset", "objective.sigmoid_bias"}


STATED = choices("faithful") + choices("default")


@pytest.mark.parametrize(("path", "value", "others"), STATED, ids=[path for path, *_ in STATED])
def test_alternatives_are_all_that_the_setting_offers(path, value, others):
    kind = annotated(path)
    offered = [yaml.safe_load(code) for code in codes(others)]
    for one in offered:
        TypeAdapter(kind).validate_python(one)
    missing = words_of(kind) - {value, *map(str, offered)}
    assert not missing, f"{path} offers {missing} too"


def test_every_setting_that_a_page_names_is_there():
    rooms = "|".join(PretrainSettings.model_fields.keys() | {"screening", "retrieval"})
    for page in PAGES:
        for code in codes(page_text(page)):
            if match := re.fullmatch(rf"((?:{rooms})(?:\.[a-z_]+)+)(?:: (.+))?", code):
                path, value = match.groups()
                kind = annotated(path)
                if value is not None:
                    TypeAdapter(kind).validate_python(yaml.safe_load(value))


def test_the_generated_tables_are_those_of_the_settings():
    assert page_text() == rewritten(page_text()), "run: python tests/test_method_page.py"


def test_rungs_that_the_page_names_are_on_the_ladder():
    words = page_text().partition("## 10.")[2].partition("## 11.")[0].partition("<!--")[0]
    named = {code for code in codes(words) if not code.startswith("okrcell ")}
    assert named
    assert named <= set(ABLATIONS)


def test_sections_that_docstrings_name_are_on_the_page():
    page = page_text()
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)*)", page, re.MULTILINE))
    rows = {row[0] for head, rows in tables(page) if head[0] == "row" for row in rows}
    for path in sorted(SOURCE.rglob("*.py")):
        for section, row in re.findall(r"\bmethod (\d+(?:\.\d+)*)(?:, row (\d+))?", page_text(path)):
            assert section in headings, f"{path.name} names section {section}"
            assert not row or row in rows, f"{path.name} names row {row}"


def test_sections_stand_in_order():
    numbers = re.findall(r"^#+ (\d+(?:\.\d+)*)", page_text(), re.MULTILINE)
    ordered = [tuple(int(part) for part in number.split(".")) for number in numbers]
    assert all(one < other for one, other in pairwise(ordered))


def test_settings_files_in_the_how_to_are_accepted():
    blocks = re.findall(r"```yaml\n(.*?)```", page_text(PAGES[1]), re.DOTALL)
    whole, *parts = [yaml.safe_load(text) for text in blocks]
    for values in (whole, *({**whole, **part} for part in parts)):
        PretrainSettings.model_validate(values)


def test_commands_in_the_how_to_are_understood():
    from okrcell.cli._common import app

    blocks = re.findall(r"```bash\n(.*?)```", page_text(PAGES[1]), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    commands = [line.partition("#")[0].removeprefix("okrcell ") for line in lines if line.startswith("okrcell ")]
    assert commands
    for command in commands:
        app.parse_args(command, exit_on_error=False, print_error=False)


if __name__ == "__main__":
    METHOD.write_text(rewritten(page_text()), encoding="utf-8")
