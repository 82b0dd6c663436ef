"""How the methods learn: how fast, how steadily, and what the loss looks like around what they found."""
