"""Load a version's files, warm them, predict. A runtime needs no training library, and nothing here ever unpickles."""
