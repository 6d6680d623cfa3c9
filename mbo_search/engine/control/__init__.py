"""The search controller: what to train next, and when to stop."""
