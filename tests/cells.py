"""Chapters' cells executed in this process, which spares each its kernel."""

import ast
import io
from contextlib import redirect_stdout

import IPython.display
import myst_nb
from matplotlib.figure import Figure

from layerfusion.pages.chapters.parameters import chapter_paths
from layerfusion.pages.chapters.source import read_chapter


def look_at(shown):
    """Render something as a page would; return its text."""
    if isinstance(shown, Figure):
        shown.draw_without_rendering()
        return " ".join(
            text.get_text() for axes in shown.axes for text in [*axes.texts, axes.title]
        )
    return shown.to_html() if hasattr(shown, "to_html") else str(shown)


def execute(chapter, given, patch):
    """Execute a chapter's cells here, with other parameters; return what it prints and shows."""
    shown, space, printed = [], {}, io.StringIO()
    patch.setattr(IPython.display, "display", lambda *things: shown.extend(things))
    patch.setattr(myst_nb, "glue", lambda name, thing, display=True: shown.append(thing))
    for cell in read_chapter(chapter_paths()[chapter]).cells:
        if cell.cell_type != "code":
            continue
        body = ast.parse(cell.source).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        with redirect_stdout(printed):
            exec(compile(ast.Module(body, []), chapter, "exec"), space)
            if last is not None:
                shown.append(eval(compile(ast.Expression(last.value), chapter, "eval"), space))
        if "parameters" in cell.metadata.get("tags", []):
            space |= given
    texts = [look_at(thing) for thing in shown if thing is not None]
    return "\n".join([printed.getvalue(), *texts])
