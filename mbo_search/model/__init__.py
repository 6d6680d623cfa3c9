"""Build: the decoder that is trained."""
