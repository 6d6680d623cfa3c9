"""How a study trains on this machine: every `auto` resolved once and recorded."""
