"""Executing one trial: walk the stage tree, train what is missing, report how it went."""
