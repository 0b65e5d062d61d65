"""Official metrics as pure NumPy functions, one module a family of metrics."""
