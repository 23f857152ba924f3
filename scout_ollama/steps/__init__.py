"""Pure functions from what is wanted and what is there to the changes between them."""
