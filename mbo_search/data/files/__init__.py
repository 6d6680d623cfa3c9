"""Files of the user: finding them, telling splits by their names, and opening what is compressed."""
