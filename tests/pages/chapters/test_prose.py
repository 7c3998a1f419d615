"""Source that a page shows, and numbers that its sentences read."""

import ast

import myst_nb
import pytest

from layerfusion.model.fusion import LayerFusion, SideBySide
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.paper import audit


@pytest.mark.parametrize("one", [LayerFusion, LayerFusion.fuse, SideBySide, audit.matrices])
def test_shown_source_is_the_source_without_its_docstring(one):
    shown = source_of(one).data
    assert shown.startswith("```python\n")
    (definition,) = ast.parse(shown.removeprefix("```python\n").removesuffix("\n```")).body
    assert definition.name == one.__name__
    assert ast.get_docstring(definition) is None


def test_texts_are_glued_by_their_names_and_not_shown(monkeypatch):
    glued = []
    monkeypatch.setattr(myst_nb, "glue", lambda *given, **options: glued.append((given, options)))
    glue_texts(auc="0.9", recall="80 %")
    assert glued == [(("auc", "0.9"), {"display": False}), (("recall", "80 %"), {"display": False})]
