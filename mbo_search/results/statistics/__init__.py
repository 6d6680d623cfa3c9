"""Tests, intervals and plans: statistics that know nothing of studies."""
