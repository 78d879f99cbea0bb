"""Playing by hand: held notes and controllers become cells to sample."""
