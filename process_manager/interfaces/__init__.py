"""What people and other programs touch, and the one place that wires it."""
