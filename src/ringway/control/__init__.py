"""The control plane: the supervisor, which touches no request, and the main function of a worker process."""
