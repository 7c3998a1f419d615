"""Formulas as MathML, which browsers draw by themselves: Sphinx's own renderer fetches MathJax.

The converter is docutils' own. It knows a part of LaTeX; a formula beyond that part is a warning,
and so stops a build with ``-W``.
"""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

# The theme lays formulas out for MathJax and would push these to the right margin. One wider than a
# phone scrolls by itself; the page around it stays where it is.
BLOCK_STYLE = "display: block; overflow: auto hidden; margin-block: 1rem; padding-block: 0.5rem"


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write an inline formula."""
    mathml = convert(translator, node, display=False)
    translator.body.append(f'<span class="math notranslate nohighlight">{mathml}</span>')
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number if it has one."""
    translator.body.append(
        translator.starttag(node, "div", CLASS="math notranslate nohighlight", style=BLOCK_STYLE)
    )
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(f"{convert(translator, node, display=True)}</div>\n")
    raise nodes.SkipNode


def convert(translator: HTML5Translator, node: nodes.Element, *, display: bool) -> str:
    """Return a formula's MathML; its LaTeX as text, and a warning, if it cannot be converted."""
    latex = " ".join(node.astext().split())
    try:
        mathml = tex2mathml(latex, display)
    except MathError as error:
        logger.warning("the formula '%s' has no MathML: %s", latex, error, location=node)
        return str(translator.encode(latex))
    # In one line: in a sentence the converter's line breaks would show as spaces.
    return "".join(line.strip() for line in mathml.splitlines())


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer; `html_math_renderer: mathml` in the configuration chooses it."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
