"""The containers of a benchmark's pod before and after that of the benchmark: one sees whether the model is there, the other
tells the operator what the benchmark wrote, and clears away the model.

They need nothing but the contract, so that they are over in a moment.
"""
