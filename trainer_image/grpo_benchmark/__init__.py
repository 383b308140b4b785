"""The last container of a benchmark's pod: it tells the operator what the benchmark wrote, and clears away its model.

It needs nothing but the contract, so that it is over in a moment.
"""
