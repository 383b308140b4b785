"""Writes what is generated from code: the recipe's schema, the CRD, the API reference, RBAC and dashboards.

Pure functions that return text or plain data; `__main__` alone writes files. Not part of the operator or of the chart.
"""
