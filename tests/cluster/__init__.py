"""A real Kubernetes cluster on one Linux machine for the demo, the tests and the benchmarks: `python3 -m cluster`.

Real etcd, API server, controllers, scheduler, kubelets, containers, Services, DNS, NetworkPolicies and Prometheus; no
Docker, no systemd, no registry, no virtual machine. Standard library only, so that a bare Python runs it, and it knows
nothing of the project that is tested on it but two label names. README.md has the reasons.
"""
