"""YAML that a user writes, read strictly: whatever is wrong with it is one sentence with its line.

Plain values mean what they look like, as in YAML 1.2: ``010`` and ``1:30`` stay text (YAML 1.1 has
8 and 90 there), so do ``yes`` and ``off``, and ``1e-4`` is a number.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from layerfusion.errors import UserError
from layerfusion.files import read_text

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A model whose values never change, and that refuses names it does not know."""

    # No setting is infinite: most that bound something would pass, and fail where they are used.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def below_root(path: str) -> str:
    """Return a POSIX path, or raise the ValueError of one that leaves the folder it is below."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("must be relative to the data root and stay below it")
    return path


_PLAIN_VALUES = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}


class _StrictLoader(yaml.SafeLoader):
    """Reads YAML without aliases, which can stand for any amount, and without doubled names."""

    yaml_implicit_resolvers = {  # noqa: RUF012, PyYAML's own way
        None: [
            (f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{pattern})\Z"))
            for name, pattern in _PLAIN_VALUES.items()
        ]
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*) are not read", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # whatever PyYAML meets in a value that is not what its tag says
            problem = f"a value cannot be read: {error}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: list[Any] = []
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in names:
                problem = f"'{name}' stands there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            names.append(name)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, what: str) -> Any:
    """Return the value that a YAML text stands for.

    Parameters
    ----------
    what
        What the text is, as an error begins: ``profile 'mine.yaml'``.

    Raises
    ------
    UserError
        If the text is not YAML, or has aliases or a name twice.
    """
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506, a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = ", ".join(filter(None, (error.context, error.problem)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"{error.reason} (character #x{error.character:04x})"
    except RecursionError:
        raise UserError(f"{what} is nested too deeply to be read") from None
    raise UserError(f"{what} is not valid YAML, line {line}: {' '.join(problem.split())}")


def read_yaml(path: Path, what: str) -> Any:
    """Return the value in a YAML file.

    Parameters
    ----------
    what
        What the file is, as an error begins.

    Raises
    ------
    UserError
        If the file cannot be read, or as for `parse_yaml`.
    """
    try:
        return parse_yaml(read_text(path), what)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{what} is not UTF-8 from line {line} on; save it as UTF-8") from None
    except FileNotFoundError:
        raise UserError(f"there is no {what}") from None
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}") from None


def checked(model: type[Model], values: Any, what: str) -> Model:
    """Return the values as a model, or raise a UserError that names the first wrong setting."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(str(part) for part in first["loc"]) or "settings"
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = "there is no such setting"
        raise UserError(f"{what}, setting '{setting}': {reason}") from None
