"""What `process_manager` exports is there, documented, in the README, and the same for programs and type checkers."""

import ast
import re
from pathlib import Path
from types import FunctionType

import pytest

import process_manager
from process_manager import errors

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("name", process_manager.__all__)
def test_every_exported_name_is_documented(name: str) -> None:
    value = getattr(process_manager, name)
    assert value.__doc__ or not isinstance(value, type | FunctionType)
    assert re.search(rf"\b{name}\b", README.read_text())


def test_type_checkers_are_told_the_names_that_there_are() -> None:
    tree = ast.parse(Path(process_manager.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == process_manager._WHERE
    (names,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    assert ast.literal_eval(names) == process_manager.__all__  # made by code, it says nothing to a type checker
    assert set(process_manager.__all__) == set(dir(process_manager)) == imported.keys()


def test_the_tree_of_errors_names_each_of_them() -> None:
    named = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.ProcessManagerError)]
    assert [name for name in named if not re.search(rf"\b{name}\b", errors.__doc__ or "")] == []
