"""The built-in corpora: running text and pairs, made from what is installed."""
