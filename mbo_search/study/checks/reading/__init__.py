"""Rules for what a stage reads of the text: shares of sources, order, scores."""
