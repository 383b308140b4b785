"""Builds the images of the Dockerfile without a Docker daemon or a registry: `python3 -m images build TARGET`.

For the local cluster and for machines like those that run the tests; where there is a daemon, `docker build` makes the
same images of the same Dockerfile. Standard library only, so that a bare Python runs it. Everything it makes lies in
the cache outside the checkout, named after what it was made from.
"""
