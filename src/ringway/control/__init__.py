"""The control plane: a supervisor that touches no request, and the main of a worker process."""
