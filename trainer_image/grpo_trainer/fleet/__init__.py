"""Completions from the run's generators, sampled from weights that are provably the learner's.

    discovery = ServiceDiscovery(config.generators.service, GENERATOR_PORT)
    settings = FleetSettings(discovery, read_token, pod_ip, WEIGHTS_PORT, config.deadlines, observer)
    trainer = FleetGRPOTrainer(model=..., args=..., fleet=settings)  # as GRPOTrainer, args with use_vllm false

Public names, each in the module that is its own:
    generation.FleetGRPOTrainer, .FleetSettings  TRL's trainer over the fleet (imports torch and trl; the rest does not)
    discovery.ServiceDiscovery, .Discovery       where generators are: DNS of the Service, or anything with urls()
    observer.FleetObserver, .GeneratorStatus     what the exporter implements; called from any thread
    errors.GeneratorsLost                        no generator until the deadline (`failure` for the termination file);
                                                 raised, like UserError for a request that vLLM refuses, on every rank
    fleet.Fleet, roster.Roster                   submit -> tickets, which get their completions; who is in sync
    routing, pace                                which generator a group goes to
    generator.Generator, completion.Completion   one vLLM server, and what it answers; update: how it gets weights
    courier, wire, inbox                         bring completions to the rank that they are for, beside its training thread
    gathering                                    parameters, whole, in buckets
    snapshot.Snapshot, weights.WeightServer      versions of the weights; what generators fetch of them
"""
