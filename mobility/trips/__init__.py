"""What was driven: the track of a ride that is over."""
