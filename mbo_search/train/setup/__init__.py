"""The resolved settings of training: every `auto` is settled once and recorded."""
