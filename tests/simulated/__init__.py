"""The operator as a process, on a real API server with its controllers; pods are simulated, and their fate is ours to write.

tests/operator, the name of the layer, would be found in place of the standard library's module.
"""
