"""A mesh on a Kubernetes cluster, reached through the user's own kubectl; nothing here changes an object of it."""
