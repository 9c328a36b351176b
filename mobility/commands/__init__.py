"""Commands that clients named themselves: one effect and one answer, however often they are sent."""
