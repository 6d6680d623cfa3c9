"""One module a figure: a pure info function that says what is shown, and a draw function that shows it."""
