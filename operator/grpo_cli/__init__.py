"""`kubectl grpo`: a GRPORun from a recipe, and what would be refused, translated or wasteful, without a cluster.

    main.py            the commands; the only module that reads files and prints, but for live/
    live/              commands about runs that are on a cluster: why, top, metrics, suspend, resume, scale
    documents.py       a file's text -> a recipe or a GRPORun; kubectl_yaml.py reads YAML as kubectl does
    from_recipe.py     a recipe -> a GRPORun
    check.py           a GRPORun -> a Report, with the checks below; report.py makes text and JSON of it

    structure.py       unknown keys, types, ranges, enums: the CRD's schema
    rules.py           the CRD's rules across fields, in CEL
    translation.py     what acceptance refuses, old keys, moved defaults
    batches.py         completions, prompts and steps
    combinations.py    what TRL or vLLM would refuse later, and what costs without a gain
    brought_along.py   keys from Secrets and packages of images that the run needs
    memory.py          bytes per learner GPU and generator GPU; model_shape.py reads a model's config.json

What the product knows is asked of the product: the CRD, its rules and the tables of the contract. It imports neither
torch nor a client of Kubernetes.
"""
