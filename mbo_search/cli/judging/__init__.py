"""The command that judges a change."""
