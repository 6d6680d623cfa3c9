"""`serve` and `dashboard`: what is looked at while a search runs, or after it."""
