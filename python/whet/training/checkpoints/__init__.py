"""What a fit writes to go on from, and how it does."""
