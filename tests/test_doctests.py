"""Every public function documents its parameters, what it returns, and examples that run."""

import doctest
import importlib
import inspect
from itertools import pairwise

import pytest

PACKAGES = ("okrcell", "okrcell.tl", "okrcell.pl")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_objects():
    """Every function and class that the packages export, once, by the shortest of its names."""
    objects = {}
    for name in PACKAGES:
        package = importlib.import_module(name)
        for export in package.__all__:
            value = getattr(package, export)
            if callable(value):
                objects.setdefault(value, f"{name.replace('okrcell', 'okr')}.{export}")
    return [pytest.param(value, id=name) for value, name in objects.items()]


OBJECTS = public_objects()


def sections(documented):
    lines = inspect.getdoc(documented).splitlines()
    return [title for title, line in pairwise(lines) if line and set(line) == {"-"}]


def entries(documented, section):
    """Names that a section explains, one a line before an indented text."""
    lines = inspect.getdoc(documented).splitlines()
    start = lines.index(section) + 2
    names = []
    for line, below in pairwise(lines[start:]):
        if below and set(below) == {"-"}:
            break
        if line and not line.startswith(" ") and below.startswith(" "):
            names += [name.strip(" *") for name in line.partition(" : ")[0].split(",")]
    return names


@pytest.mark.parametrize("documented", OBJECTS)
def test_a_public_function_documents_what_goes_in_and_what_comes_out(documented):
    titles = sections(documented)
    if isinstance(documented, type):
        assert {"Parameters", "Attributes"} & set(titles)
    else:
        assert "Parameters" in titles
        assert {"Returns", "Yields"} & set(titles)
    assert "Examples" in titles


@pytest.mark.parametrize("documented", [param for param in OBJECTS if inspect.isfunction(param.values[0])])
def test_every_parameter_is_explained_and_no_other(documented):
    assert entries(documented, "Parameters") == list(inspect.signature(documented).parameters)


@pytest.mark.parametrize("documented", OBJECTS)
def test_no_placeholder_is_left_in_a_docstring(documented):
    assert not [line for line in documented.__doc__.splitlines() if line.strip()[:1] + line.strip()[-1:] == "{}"]


@pytest.mark.parametrize("documented", OBJECTS)
def test_the_examples_of_a_public_function_run(documented, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Examples do not depend on knowledge files of this machine.
    monkeypatch.delenv("OKRCELL_KNOWLEDGE", raising=False)
    # Empty globals: an example imports all that it uses.
    tests = doctest.DocTestFinder(recurse=False).find(documented, documented.__name__, globs={})
    examples = [test for test in tests if test.examples]
    assert examples
    report = []
    for test in examples:
        runner = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS)
        failed, _ = runner.run(test, out=report.append)
        assert failed == 0, "".join(report)
