"""What tests may build on, one function per ability; each asserts it on the running cluster, in namespace `proof`."""
