"""Croissant 1.1, JSON-LD by which machines find and read data sets: here of two tables."""

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from layerfusion.paths import PACKAGE

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
CARD_VERSION = "1.0.0"
# The reference reader knows Parquet by this name alone, not by the registered one.
FORMATS = {".csv": "text/csv", ".parquet": "application/x-parquet"}

# The standard's own terms, as its appendix on the context and its reference reader have them; and
# what the columns hold, where their names leave it open.
_TEMPLATE = json.loads((PACKAGE / "data" / "croissant.json").read_text(encoding="utf-8"))


class Described(NamedTuple):
    """A file that is described: its name, the table in it and its bytes."""

    file: str
    table: pd.DataFrame
    content: bytes


def croissant_text(
    tables: Sequence[Described], *, name: str, about: str, published: date, creator: str | None
) -> str:
    """Return the description of a set as JSON-LD: a FileObject and a RecordSet a table.

    Parameters
    ----------
    tables
        Their first column tells their rows apart. Fields are named ``<table>/<column>``, a table
        like its file without the suffix, which is one of `FORMATS`.
    """
    said: dict[str, Any] = {
        "@context": _TEMPLATE["context"],
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": about,
        "version": CARD_VERSION,
        "datePublished": published.isoformat(),
        # Relative to this file, wherever that is published.
        "url": "./",
        "license": {"@type": "sc:CreativeWork", "name": "Of each source its own: see sources.csv"},
    }
    if creator:
        said["creator"] = {"@type": "sc:Organization", "name": creator}
    said["distribution"] = [_file_object(table) for table in tables]
    said["recordSet"] = [_record_set(table) for table in tables]
    return json.dumps(said, indent=1, ensure_ascii=False) + "\n"


def _file_object(described: Described) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": described.file,
        "name": described.file,
        "contentUrl": described.file,
        "contentSize": f"{len(described.content)} B",
        "encodingFormat": FORMATS[PurePosixPath(described.file).suffix],
        "sha256": hashlib.sha256(described.content).hexdigest(),
    }


def _record_set(described: Described) -> dict[str, Any]:
    stem = PurePosixPath(described.file).stem
    columns = [str(column) for column in described.table]
    return {
        "@type": "cr:RecordSet",
        "@id": stem,
        "name": stem,
        "description": f"The rows of {described.file}",
        "key": {"@id": f"{stem}/{columns[0]}"},
        "field": [_field(described, stem, column) for column in columns],
    }


def _field(described: Described, stem: str, column: str) -> dict[str, Any]:
    whole = pd.api.types.is_integer_dtype(described.table[column])
    return {
        "@type": "cr:Field",
        "@id": f"{stem}/{column}",
        "name": column,
        "description": _TEMPLATE["columns"].get(f"{stem}/{column}", column.capitalize()),
        "dataType": "sc:Integer" if whole else "sc:Text",
        "source": {"fileObject": {"@id": described.file}, "extract": {"column": column}},
    }
