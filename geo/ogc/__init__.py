"""OGC API Features, Part 1: what a server of any collections says in the same words."""
