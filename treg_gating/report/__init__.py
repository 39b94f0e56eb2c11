"""What people see, made from stored tables and densities."""
