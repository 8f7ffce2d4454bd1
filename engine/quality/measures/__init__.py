"""How good the labels of a data engine are, told apart by who made them."""
