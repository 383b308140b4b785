"""The GRPORun API: its types, its rules, and the CRD made of them. Imports neither kopf nor kubernetes."""
