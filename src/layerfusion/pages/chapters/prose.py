"""What a page's text is made of besides words: numbers that code computed, and code itself."""

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import DisplayObject


def glue_texts(**texts: str) -> None:
    """Give texts to the page's sentences, which read one as ``{glue:text}`name```.

    The sentence is Markdown and stands in the chapter; only the number comes from here, formatted.
    """
    from myst_nb import glue  # type: ignore[import-untyped]  # comes with the book

    for name, text in texts.items():
        glue(name, text, display=False)


def source_of(*definitions: Any) -> "DisplayObject":
    """Return the source of functions, methods or classes as a page shows it: never a copy.

    Docstrings are left out, since the sentence above says what they would.
    """
    from IPython.display import Markdown

    code = "\n\n".join(_without_docstring(one) for one in definitions)
    shown: DisplayObject = Markdown(f"```python\n{code}\n```")  # type: ignore[no-untyped-call]
    return shown


def _without_docstring(definition: Any) -> str:
    source = textwrap.dedent(inspect.getsource(definition)).rstrip()
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    lines = source.splitlines()
    if ast.get_docstring(node) is not None:
        first, last = node.body[0].lineno - 1, node.body[0].end_lineno
        below = "\n".join(lines[last:]).lstrip("\n")  # a class's has a blank line below it
        lines[first:] = below.splitlines()
    return "\n".join(lines)
