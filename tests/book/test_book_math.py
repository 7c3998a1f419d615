"""The book's formulas are MathML: read without a network, and a build stops where one cannot be."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

pytest.importorskip("jupyter_book")

from sphinx_sites import build_site

ROOT = Path(__file__).resolve().parents[2]
FORMULA = r"z(x) = \sum_{l=1}^{L} \alpha_l \, (W_p h_l(x) + b_p)"


def build(folder, text):
    """Build a page of one text as the book builds it; return its HTML and Sphinx's warnings."""
    (folder / "index.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    settings = {
        "extensions": ["myst_parser", "mathml"],
        "myst_enable_extensions": ["dollarmath"],
        "html_math_renderer": "mathml",
        "myst_update_mathjax": False,
    }
    return build_site(folder, "index", settings)


@pytest.fixture(autouse=True)
def _extension(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))


def formulas(html):
    return [ElementTree.fromstring(found) for found in re.findall(r"<math.*?</math>", html)]


def tags(formula):
    return {element.tag.rpartition("}")[2] for element in formula.iter()}


def test_formulas_become_mathml_and_nothing_is_fetched(tmp_path):
    html, warnings = build(tmp_path, f"Inline $h_l(x)$ and\n\n$$ {FORMULA} $$")
    inline, block = formulas(html)
    assert inline.get("display") is None
    assert block.get("display") == "block"
    assert {"munderover", "msub"} <= tags(block)
    assert re.sub(r"\W", "", "".join(inline.itertext())) == "hlx"
    assert "mathjax" not in html.lower()
    assert not re.search(r"""<(?:script|link)[^>]+(?:src|href)=["'](?:https?:)?//""", html)
    assert not warnings


def test_lines_of_a_formula_become_rows(tmp_path):
    html, _ = build(tmp_path, "$$\na &= b \\\\\nc &< d\n$$")
    (formula,) = formulas(html)
    assert len([element for element in formula.iter() if element.tag.endswith("mtr")]) == 2


def test_a_numbered_formula_can_be_referred_to(tmp_path):
    html, _ = build(tmp_path, f"$$ {FORMULA} $$ (fusion)\n\nSee {{eq}}`fusion`.")
    assert 'id="equation-fusion"' in html
    assert 'href="#equation-fusion"' in html
    assert '<span class="eqno">(1)' in html


def test_a_formula_that_cannot_be_converted_is_a_warning(tmp_path):
    html, warnings = build(tmp_path, r"$\unheardof < 1$")
    assert r"the formula '\unheardof < 1' has no MathML" in warnings
    assert r"\unheardof &lt; 1" in html


def test_the_book_is_configured_so():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    assert config["config"]["html_math_renderer"] == "mathml"
    assert config["config"]["myst_update_mathjax"] is False
    for name, folder in config["local_extensions"].items():
        assert (ROOT / "book" / folder / f"{name}.py").is_file()
        assert name in config["config"]["extensions"]
