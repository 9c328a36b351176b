"""Who can drive."""
