"""Redis, one server or a cluster: how it is reached, what is asked of it, when it is given up."""
