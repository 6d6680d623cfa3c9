"""What the records say: champions, comparisons, differences, noise, objections."""
