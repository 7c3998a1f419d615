"""Pictures and tables of a page, drawn from tables and records; no model runs here."""
