"""What must always hold, as queries that return the rows breaking it. None, ever."""
