"""Pure: a run becomes the manifests of its children. No I/O, no clock, no randomness; a file per kind or role."""
