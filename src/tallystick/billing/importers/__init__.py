"""Usage reports of other systems, read into our own words: rows, a catalog that prices them, and what they expect to cost."""
