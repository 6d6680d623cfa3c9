"""Describe: studies, spaces, schedules and stages as frozen values, and the files that hold them."""
