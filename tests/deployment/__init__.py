"""Promise: what is shipped to run the box office for real is true to the code, and runs.

What stands here as tests reads the image's recipe, the Compose file and the manifests, and compares them with the
settings, the Procfile and the code: no engine, no network. ``make containers`` (:mod:`tests.deployment.containers`) and
``make kubernetes`` (:mod:`tests.deployment.cluster`) run them on a real engine and in a real cluster.
"""
