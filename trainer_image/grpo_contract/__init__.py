"""What the operator writes and the pods of a run read: file formats, ports, paths, names.

Both sides import this package, so nothing is spelled twice. It imports neither torch nor kopf nor kubernetes.
"""
