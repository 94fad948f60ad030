"""Documents: files, and texts in tables, become passages that know their places."""
