"""The page of a run: every completion that is kept on its volume, read-only, behind the run's token. Runs beside learner 0, and
in a pod of its own when that is over.

app: paths and their answers · access: who may ask · query: what is asked for · store: DuckDB over the files · difference: of
two completions · curves: of the steps · templates: what a person sees
"""
