"""The comparison page of several runs."""
