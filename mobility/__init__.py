"""The product: one folder a subject."""
