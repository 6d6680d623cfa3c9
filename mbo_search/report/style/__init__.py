"""Colors, numbers and words that all pages share."""
