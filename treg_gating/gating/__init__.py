"""Templates, methods and gates."""
