"""The GRPORun API: its types, its rules, and the CustomResourceDefinition made of them. Imports neither kopf nor kubernetes."""
