"""A document index as the gateway reads it: by meaning, by words, by both. No training library is reached from here."""
