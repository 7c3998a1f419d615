"""What a search engine and a social network show of a page: the question and answer of its box."""

from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 300  # characters; search engines show fewer


def describe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write a page's description into its head; with a picture where the book has an address."""
    if doctree is None:
        return
    boxes = [box for box in doctree.findall(nodes.admonition) if "in-short" in box["classes"]]
    paragraphs = [text.astext() for box in boxes[:1] for text in box.findall(nodes.paragraph)][:2]
    text = " ".join(" ".join(paragraphs).split()).replace("Question. ", "").replace("Answer. ", "")
    tags = {
        "og:type": "article",
        "og:site_name": app.config.project,
        "og:title": context["title"],
        "twitter:card": "summary",
    }
    if text:
        short = text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]} ..."
        tags |= {"description": short, "og:description": short}
    if base := app.config.html_baseurl:
        tags["og:url"] = f"{base}{pagename}.html"
        pictures = [app.builder.images.get(one["uri"]) for one in doctree.findall(nodes.image)]
        if any(pictures):
            tags["og:image"] = f"{base}_images/{next(filter(None, pictures))}"
    context["metatags"] += "".join(
        f'<meta {"property" if ":" in name else "name"}="{name}" content="{escape(value)}" />\n'
        for name, value in tags.items()
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Come after Sphinx's own tags."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
