"""Where vectors and words are kept: one file a store, one conformance suite for all."""
