"""Rating: what a quantity costs under a price, exactly, and the steps that lead there. See README.md."""
