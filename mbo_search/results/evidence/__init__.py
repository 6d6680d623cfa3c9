"""Evidence in the records: champions, comparisons, differences, noise, objections."""
