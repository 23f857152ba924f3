"""inv status: how the whole site is, on one screen, as JSON, or as a page. Read-only."""
