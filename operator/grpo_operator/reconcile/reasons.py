"""Every reason that the operator itself gives in a condition or an Event: what it means and what to do.

Reasons that learners and generators give for their end are in `grpo_contract.failure.PodReason`.
"""

from enum import StrEnum


class Reason(StrEnum):
    # Accepted
    ACCEPTED = "Accepted"
    """The run can be started as it is written."""
    OWNED_KEY = "OwnedKey"
    """The recipe sets a key that the operator sets itself, or asks for what runs cannot do yet. Nothing was started: remove
    the key and apply the run again."""
    INVALID_RECIPE = "InvalidRecipe"
    """A key of the recipe has a value that cannot work. Nothing was started: correct it and apply the run again."""
    UNKNOWN_BENCHMARK = "UnknownBenchmark"
    """The recipe names a benchmark that the operator's chart does not have. Nothing was started: correct the name, or have
    it added to `benchmarks.tasks` there."""
    UNKNOWN_RECIPE_DEFAULTS = "UnknownRecipeDefaults"
    """Only a newer operator knows `recipeDefaults` of the run. This one starts, repairs and restarts nothing of it."""
    RECIPE_CHANGED = "RecipeChanged"
    """With status True: the run goes on. The API server has dropped a key of `spec.recipe` that the custom resource of now
    does not know, as after a rollback. All attempts of the run keep the recipe of its first step, which its ConfigMap holds:
    leave that, and install a custom resource that knows the key before other runs lose it."""
    # Accepted; of a run that was accepted once, LearnersReady and GeneratorsReady
    CHILD_REFUSED = "ChildRefused"
    """The API server refused an object of the run: a quota, an admission policy, or a field of the run that only the
    API server can judge, such as `resources` or `podTemplate`. Tried again at least once a minute. A run that has
    started goes on with what it has."""
    NAME_TAKEN = "NameTaken"
    """An object that belongs to somebody else, or to a deleted run of the same name whose objects are still being
    removed, has the name that an object of this run needs. The run starts when it is gone."""
    REWARD_CODE_NOT_FOUND = "RewardCodeNotFound"
    """A ConfigMap of `rewards.from` does not exist in the namespace of the run. The run starts, or its next attempt does, when it
    is there."""

    # StorageReady
    BOUND = "Bound"
    """The volume is there and every pod can mount it."""
    CLAIM_NOT_FOUND = "ClaimNotFound"
    """`storage.claimName` names no PersistentVolumeClaim of the namespace. The run fails when it is not there within half a
    minute."""
    CLAIM_PENDING = "ClaimPending"
    """The claim has no volume yet. Some storage classes wait for a first pod; if it lasts, `kubectl describe pvc`."""
    CLAIM_LOST = "ClaimLost"
    """The volume behind the claim is gone, and with it the run's checkpoints: restore it, or delete the run and start another."""
    SINGLE_NODE_VOLUME = "SingleNodeVolume"
    """The volume is there, for the pods of one node: pods on other nodes will not start. With pods on several nodes use
    ReadWriteMany."""
    SINGLE_POD_VOLUME = "SinglePodVolume"
    """ReadWriteOncePod lets one pod mount the volume, and a run has at least two. Use ReadWriteMany."""
    READ_ONLY_VOLUME = "ReadOnlyVolume"
    """No access mode of the volume lets a pod write, and learners write checkpoints. Use ReadWriteMany."""

    # LearnersReady, GeneratorsReady, beside CHILD_REFUSED, NAME_TAKEN and REWARD_CODE_NOT_FOUND
    ALL_READY = "AllReady"
    """All pods of the role are ready."""
    STARTING = "Starting"
    """Pods are being created, pull their image, or load the model. Of learners also: one has ended or stopped being ready, and
    what follows from it is not known yet."""
    PODS_NOT_CREATED = "PodsNotCreated"
    """The cluster does not create the pods: mostly a quota or an admission policy."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """A node cannot get the image: a wrong name, a missing pull secret, or no way to the registry."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has room, or none fits nodeSelector, tolerations and affinity: free or add nodes, ask for less in `resources` or
    `gpus`, or correct what picks nodes. The message has the scheduler's words."""
    POD_NOT_SET_UP = "PodNotSetUp"
    """The pod has a node, which has not mounted its volumes or not made its network for two minutes. Mostly it is a
    volume: one that another node holds, or a Secret or ConfigMap of `podTemplate` that does not exist."""
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    """The kubelet cannot make the container as it is described: mostly `env` or `podTemplate`."""
    CRASH_LOOP = "CrashLoop"
    """A container ends again and again: `kubectl logs --previous` of the pod in the message says why. A generator that has
    worked in this attempt is replaced by a new pod after its fourth end."""
    OOM_KILLED = "OOMKilled"
    """A container needed more memory than its limit, or than the node had: raise `resources.limits.memory` of its role, or start
    another run that needs less; the message says by which keys."""
    GENERATOR_MISCONFIGURED = "GeneratorMisconfigured"
    """A generator cannot work as the run describes it now, and others could before: mostly a slip in `generators.env`,
    `image` or `podTemplate`. The run goes on with the others; correct the field. As long as no generator of the run was
    ever ready, the run fails instead."""
    GENERATOR_ENDED = "GeneratorEnded"
    """A generator ended and is started again, or loads the model anew. The run goes on with the others. Look into
    `kubectl logs --previous` when it happens again."""
    GENERATOR_NOT_READY = "GeneratorNotReady"
    """A generator was ready and is so no more, though it runs: an update of its weights failed, or its server or its node
    does not answer in time. The run goes on with the others, and the next update or answer mends it. `kubectl describe pod`
    has what its readiness probe was answered."""
    GENERATOR_REPLACED = "GeneratorReplaced"
    """A generator pod is being deleted, by somebody, because the run has changed, or since the kubelet held it back for 40 s or
    more although it had worked; or it is gone. Another takes its place, and the run goes on with the others."""
    DISRUPTED = "Disrupted"
    """The cluster took the pod away: eviction, preemption, or a lost node. An attempt that ends by it does not count against
    `maxRestarts`; nothing is to be done unless it repeats (`KeepsBeingDisrupted`)."""
    RUN_ENDED = "RunEnded"
    """The run has ended; what the condition speaks of is no more."""

    # WeightsInSync
    IN_SYNC = "InSync"
    """Every generator that the learner knows holds its current weights, or some that spec.generators.maxStaleness allows."""
    OUT_OF_SYNC = "OutOfSync"
    """Some generator does not hold such weights; it gets no prompts until it does."""
    NOT_KNOWN_YET = "NotKnownYet"
    """The learner has not reported yet."""

    # Progressing, beside STARTING
    LOADING = "Loading"
    """Learners load model and data."""
    WAITING_FOR_GENERATORS = "WaitingForGenerators"
    """Learners are ready and wait for a generator to answer. With status False it is no start: steps had been made, and
    all generators were lost; they go on when one is back, or the attempt fails by its deadline."""
    TRAINING = "Training"
    """Steps are being made."""
    SAVING = "Saving"
    """Training is over; the model is being saved."""
    EVALUATING = "Evaluating"
    """The trained model is saved, and is being evaluated."""
    RESTARTING = "Restarting"
    """An attempt failed, or was ended by a disruption or by `suspend`; the next one starts from the newest checkpoint, or from the beginning when
    there is none."""
    KEEPS_BEING_DISRUPTED = "KeepsBeingDisrupted"
    """Three attempts or more have ended in a row before they had made a step, the last one by a disruption. The run goes on for
    as long as it takes, with pauses of up to five minutes: find out what takes its pods away (`status.lastFailure`), or
    suspend it."""
    LEARNER_LEFT_BEHIND = "LearnerLeftBehind"
    """A learner of an earlier attempt runs on although its Job was deleted (`--cascade=orphan`). Delete the pod."""
    PROGRESS_UNREADABLE = "ProgressUnreadable"
    """The operator cannot read learner 0's progress. The run may be well; check learner 0's node, and that NetworkPolicies
    let the operator reach it."""

    # Benchmarked
    BENCHMARKS_DONE = "BenchmarksDone"
    """Every model that there is has its scores, in `status.benchmarks`."""
    BENCHMARK_RUNNING = "BenchmarkRunning"
    """A model is being benchmarked, or waits for its turn or for GPUs."""
    BENCHMARK_FAILED = "BenchmarkFailed"
    """A benchmark ended without scores; its entry in `status.benchmarks` says why. The run does not suffer by it."""
    NOTHING_TO_BENCHMARK = "NothingToBenchmark"
    """There is no model yet: the first comes with a checkpoint of the recipe's `save_*` keys, or with the trained model."""
    NO_BENCHMARK_IMAGE = "NoBenchmarkImage"
    """The recipe asks for benchmarks, and this operator has no image for them (`benchmarks.image` in the chart's values)."""
    BENCHMARK_SUCCEEDED = "BenchmarkSucceeded"
    """Of an Event: a model has its scores."""

    # RewardsHealthy; when it is False the reason is RewardsFailing, which the learners give for their end
    SCORING = "Scoring"
    """Reward functions score all completions, or fail for no more of them than `rewards.maxErrorShare` allows."""

    # CheckpointHealthy, beside VolumeFull, which learners give for their end as well
    CHECKPOINT_WHOLE = "CheckpointWhole"
    """The newest checkpoint is there with all that an attempt needs to go on from it."""
    NO_CHECKPOINT_YET = "NoCheckpointYet"
    """The run has no checkpoint: the first comes with step `checkpoint.everySteps`. Or learners of an older image say nothing of
    it."""
    CHECKPOINT_NOT_WRITTEN = "CheckpointNotWritten"
    """The last checkpoint could not be written. The run goes on, the checkpoints before it stay, and the next is tried after
    `checkpoint.everySteps` more steps. Look at the server or the disk of the volume. With VolumeFull: make room on it, or
    enlarge its claim."""
    CHECKPOINT_DAMAGED = "CheckpointDamaged"
    """A checkpoint was not as it was written when an attempt was to go on from it, and the one before it was taken: the message
    says which, what is wrong, and where the damaged one lies. Look at the server or the disk of the volume. True again with the next checkpoint."""

    # Suspended; the second also of what has no pods then: LearnersReady, GeneratorsReady, WeightsInSync and Progressing
    SUSPENDING = "Suspending"
    """`suspend` is true. Learners save a checkpoint and end; then the generators do."""
    SUSPENDED = "Suspended"
    """`suspend` is true, and the run has no pods. Set it to false, and the run goes on."""

    # Succeeded, Failed
    COMPLETED = "Completed"
    """All steps are done and the model is saved."""
    MAX_RESTARTS_EXCEEDED = "MaxRestartsExceeded"
    """An attempt failed and `maxRestarts` allows no other. `status.lastFailure` says why the last one did. Raise
    `maxRestarts`, and the run goes on from its newest checkpoint."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The run has been active for `activeDeadlineSeconds`, and was ended. Another run can start from its newest checkpoint."""

    # Suspended, and an Event
    RESUMED = "Resumed"
    """The run goes on: `suspend` is false again, or, when it had used up its restarts, `maxRestarts` was raised."""

    # An Event alone
    RECIPE_TRANSLATED = "RecipeTranslated"
    """The recipe holds keys of an older TRL or Open-R1. `status.recipe.notes` says what became of each."""

    # Why an attempt ended, when no pod has left a reason
    POD_LIMIT_EXCEEDED = "PodLimitExceeded"
    """A learner pod took more of its node's disk than its limits or its emptyDir volumes allow, or ran for longer than
    `activeDeadlineSeconds` of its template."""
    LEARNER_POD_LOST = "LearnerPodLost"
    """A learner pod was deleted, or is gone with its node. It does not count against `maxRestarts`."""
    LEARNER_NODE_LOST = "LearnerNodeLost"
    """The node of a learner pod does not answer: other learners missed it, or the pod was deleted and nobody says that it has
    ended. Bring the node back, or delete it if it is gone for good. It does not count against `maxRestarts`."""


POD_TROUBLES = frozenset(
    {
        Reason.CHILD_REFUSED,
        Reason.NAME_TAKEN,
        Reason.REWARD_CODE_NOT_FOUND,
        Reason.PODS_NOT_CREATED,
        Reason.IMAGE_PULL_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.POD_NOT_SET_UP,
        Reason.CONTAINER_CONFIG_ERROR,
        Reason.CRASH_LOOP,
        Reason.OOM_KILLED,
        Reason.GENERATOR_MISCONFIGURED,
        Reason.DISRUPTED,
    }
)
"""Reasons of LearnersReady and GeneratorsReady that do not pass by waiting."""
