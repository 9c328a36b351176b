"""Where and when rides are asked for: counts by hexagon and hour."""
