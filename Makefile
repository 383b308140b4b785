# Every command of the project; `make help` lists them. Needs: Debian 12 or Ubuntu, root, Python 3.11, Go, make.
# What the commands build or install lives outside the checkout, in $(CACHE), keyed by what it is made from.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(or $(shell command -v python3.11),python3)
CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/grpo-operator
BUILD  := build
export OMP_NUM_THREADS := 1

# With bytecode: pods and CI may not write it, and each of their processes would compile torch and vLLM anew.
INSTALL := pip sync --quiet --compile-bytecode --require-hashes

digest = $(shell (cat $(1); echo '$(INSTALL)') | sha256sum | cut -c1-12)

##@ Environments

UV_LOCK := tests/requirements-uv.txt
UV_ENV  := $(CACHE)/tools/uv-$(call digest,$(UV_LOCK))
UV      := $(UV_ENV)/bin/uv

DEV_LOCK := tests/requirements.txt
DEV_ENV  := $(CACHE)/envs/dev-$(call digest,$(DEV_LOCK))
DEV      := $(DEV_ENV)/bin

TRAINER_LOCKS := trainer_image/requirements-cpu.txt tests/requirements-trainer.txt
LIBRARIES_ENV := $(CACHE)/envs/libraries-$(call digest,$(TRAINER_LOCKS))

# The project itself, installed, for vLLM finds our plugin only so: for every state of its sources in an environment of its
# own, which is small and sees the 5 GB of the libraries. So no checkout changes what another one runs, in pods as well.
PROJECT_SOURCES := pyproject.toml $(shell find operator trainer_image -type f -not -path '*/__pycache__/*' | LC_ALL=C sort)
PROJECT_STATE    = (echo $(LIBRARIES_ENV); sha256sum $(PROJECT_SOURCES)) | sha256sum | cut -c1-12
TRAINER_ENV     := $(CACHE)/envs/trainer-$(shell $(PROJECT_STATE))
TRAINER         := $(TRAINER_ENV)/bin

# The recipe schema is read from TRL's source, without running it: so much less will do for it.
RECIPE_LOCK := trainer_image/requirements-cpu.txt
RECIPE_ENV  := $(CACHE)/envs/recipe-$(call digest,$(RECIPE_LOCK))

packages_in = $$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

needs = $(1) >/dev/null 2>&1 || (apt-get update -qq && apt-get install -y -qq --no-install-recommends $(2))

# None depends on its lock file: its name says what it is made from, and a new clone's files are newer than what it shares.
$(UV_ENV)/.complete:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Python 3.11 is needed, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=... names another")'
	$(call needs,$(PYTHON) -c 'import ensurepip',$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'))
	rm -rf $(UV_ENV) && $(PYTHON) -m venv $(UV_ENV)
	$(UV_ENV)/bin/pip install --quiet --require-hashes --no-deps -r $(UV_LOCK)
	touch $@

$(DEV_ENV)/.complete: | $(UV_ENV)/.complete
	rm -rf $(DEV_ENV) && $(UV) venv --quiet --python $(PYTHON) $(DEV_ENV)
	VIRTUAL_ENV=$(DEV_ENV) $(UV) $(INSTALL) $(DEV_LOCK)
	touch $@

# deepspeed comes as a source distribution, and torch's extensions are compiled at first use.
$(LIBRARIES_ENV)/.complete: | $(UV_ENV)/.complete
	$(call needs,command -v g++,g++)
	rm -rf $(LIBRARIES_ENV) && $(UV) venv --quiet --python $(PYTHON) $(LIBRARIES_ENV)
	VIRTUAL_ENV=$(LIBRARIES_ENV) $(UV) $(INSTALL) $(TRAINER_LOCKS)
	touch $@

$(TRAINER_ENV)/.complete: | $(LIBRARIES_ENV)/.complete
	rm -rf $(TRAINER_ENV) && $(UV) venv --quiet --python $(PYTHON) $(TRAINER_ENV)
	echo "import site; site.addsitedir('$(call packages_in,$(LIBRARIES_ENV))')" > $(call packages_in,$(TRAINER_ENV))/libraries.pth
	ln -s $(LIBRARIES_ENV)/bin/ninja $(TRAINER)/ninja
	VIRTUAL_ENV=$(TRAINER_ENV) $(UV) pip install --quiet --compile-bytecode --no-deps --no-build-isolation --reinstall-package grpo-operator .
	@test $(TRAINER_ENV) = $(CACHE)/envs/trainer-$$($(PROJECT_STATE)) || (echo "the sources changed while they were installed: run make again" && exit 1)
	touch $@

$(RECIPE_ENV)/.complete: | $(UV_ENV)/.complete
	rm -rf $(RECIPE_ENV) && mkdir -p $(RECIPE_ENV)
	awk '/^[a-z]/ {is_wanted = /^(trl|transformers)==/} is_wanted' $(RECIPE_LOCK) > $(RECIPE_ENV)/requirements.txt
	$(UV) pip install --quiet --python $(PYTHON) --target $(RECIPE_ENV) --no-deps --require-hashes -r $(RECIPE_ENV)/requirements.txt
	touch $@

# One at a time, whichever checkout asks: who comes second finds what the first has made.
LOCK  := $(CACHE)/envs.lock
alone = +@mkdir -p $(CACHE) && flock --wait 3600 --conflict-exit-code 75 $(LOCK) $(MAKE) --no-print-directory $(1) \
  || (test $$? -ne 75 || echo "$(LOCK) has been held by another make for an hour: is that one still at work?" >&2; exit 1)

env-dev: ## make the environment of the operator, the linters and the tests
	$(call alone,made-dev)
env-trainer: ## make the environment of learners and generators on CPU
	$(call alone,made-trainer)
made-dev: $(DEV_ENV)/.complete
	@:
made-trainer: $(TRAINER_ENV)/.complete
	@:
made-recipe: $(RECIPE_ENV)/.complete
	@:

# Not while tests of another checkout run: what only that one uses goes as well, except for a running local cluster.
clean-cache: ## remove from the cache what neither this checkout's sources nor a running local cluster use
	$(call alone,cleaned-cache)
cleaned-cache:
	@PYTHONPATH=tests $(PYTHON) -m harness.clean_cache $(UV_ENV) $(DEV_ENV) $(LIBRARIES_ENV) $(TRAINER_ENV) $(RECIPE_ENV)

env-path-dev: env-dev ## print the path of that environment
	@echo $(DEV_ENV)
env-path-trainer: env-trainer ## print the path of that environment
	@echo $(TRAINER_ENV)

CPU_NEVER_NEEDS := $(addprefix --prune ,torchvision torchaudio torchcodec triton nvidia-cusolver nvidia-nvtx)
EXPORT = $(UV) export --quiet --no-emit-project --no-header --no-annotate --only-group

lock: $(UV_ENV)/.complete ## resolve all dependencies anew and write the lock files (hashes, no download addresses)
	$(UV) lock
	$(EXPORT) operator > operator/requirements.txt
	$(EXPORT) gpu > trainer_image/requirements-gpu.txt
	# Text models on CPU need none of these, and they are 1 GB; the other nvidia wheels must stay, libtorch links to them.
	$(EXPORT) cpu $(CPU_NEVER_NEEDS) > trainer_image/requirements-cpu.txt
	$(EXPORT) dev > tests/requirements.txt
	$(EXPORT) trainer-test > tests/requirements-trainer.txt

##@ Code

SOURCES := operator trainer_image charts tests
PATHS   := PYTHONPATH=operator:trainer_image:charts:tests

format: env-dev ## format the code and order its imports
	$(DEV)/ruff format --quiet $(SOURCES) && $(DEV)/ruff check --quiet --select I --fix $(SOURCES)

generate: env-dev ## write everything that is generated: recipe schema, CRD, RBAC, dashboard, references, golden manifests
	$(call alone,made-recipe)
	$(PATHS):$(RECIPE_ENV) $(DEV)/python -m codegen.recipe_schema
	$(PATHS) $(DEV)/python -m codegen all
	$(PATHS) $(DEV)/python -m unit.golden

GENERATED := operator/grpo_operator/api/recipe_schema.json charts/grpo-operator docs/reference.md docs/metrics.md docs/old-recipes.md docs/runbooks/README.md tests/unit/golden

verify: env-dev ## check format, lint, types and layers, and that everything generated is up to date
	$(DEV)/ruff format --check --quiet $(SOURCES)
	$(DEV)/ruff check --quiet $(SOURCES)
	$(DEV)/mypy
	$(PATHS) $(DEV)/lint-imports --no-cache
	$(DEV)/hadolint Dockerfile
	$(MAKE) --no-print-directory generate
	@git diff --exit-code --stat -- $(GENERATED) && test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))" \
	  || (echo "generated files were stale: commit what 'make generate' wrote" && exit 1)

##@ The local cluster

CLUSTER_TOOL := PYTHONPATH=tests $(PYTHON) -m cluster

cluster-build: ## compile every program of the local cluster into the cache (once per state of its pins)
	$(CLUSTER_TOOL) build
cluster-up: ## start the local two-node cluster, or leave a healthy one as it is
	$(CLUSTER_TOOL) up
cluster-down: ## end everything that cluster-up started; safe to repeat and after a crash
	$(CLUSTER_TOOL) down
cluster-prove: ## show, on a new local cluster, each ability that tests build on, and that it ends without a trace, also after a crash
	$(CLUSTER_TOOL) up --fresh
	$(CLUSTER_TOOL) prove
	$(CLUSTER_TOOL) prove-end
cluster-status: ## show the cluster's processes, their memory, and its nodes
	$(CLUSTER_TOOL) status
cluster-kubeconfig: ## print the path to set KUBECONFIG to; fails when no cluster runs
	@$(CLUSTER_TOOL) kubeconfig
cluster-prometheus: ## print the address of the cluster's Prometheus, as this machine reaches it
	@$(CLUSTER_TOOL) prometheus-url
cluster-programs: ## print the folder to put on PATH: kubectl, helm, promtool
	@$(CLUSTER_TOOL) bin

##@ Images

TARGET ?= operator
image: ## build one image: make image TARGET=operator | trainer | trainer-cpu
	PYTHONPATH=tests $(PYTHON) -m images build $(TARGET)

##@ Demo

# On a cluster that is there, learners and generators come from its images, kubectl and helm from PATH.
demo: env-dev $(if $(filter current,$(CLUSTER)),,env-trainer) ## from a fresh clone to a finished run (CLUSTER=current: on the current kubectl context, VALUES=file for the chart)
	$(PATHS) $(DEV)/python -m demo up
demo-down: env-dev ## remove what the demo made (CLUSTER=current: on the current kubectl context)
	$(PATHS) $(DEV)/python -m demo down
pictures: env-dev env-trainer ## run the demo anew on the local cluster, and draw docs/images from it (a quarter of an hour)
	@$(call needs,command -v npm,nodejs npm)
	@$(call needs,command -v chromium,chromium fonts-dejavu-core)
	$(PATHS) $(DEV)/python -m pictures

##@ Tests

LAYERS := verify $(addprefix test-,unit api operator chart trainer e2e)
PYTEST  = $(PATHS) $(1)/python -m pytest

# Several files at once, for much of a test is waiting, or an import on one core. Each pytest has a network of its own: a
# learner's ports are fixed, and those of a control plane are free only until another one takes them.
AT_ONCE  = 2
ALONE    := unshare --net sh -c "ip link set lo up && exec \"$$0\" \"$$@\""
PARALLEL = $(call needs,command -v ip,iproute2) && $(call PYTEST,$(1)) --dist loadfile --no-loadscope-reorder --tx '$(AT_ONCE)*popen//python=$(ALONE) $(1)/python'

test-unit: env-dev ## tables over pure functions, golden manifests
	$(call PARALLEL,$(DEV)) tests/unit
test-api: env-dev cluster-build ## every rule of the CRD against a real API server
	$(call PARALLEL,$(DEV)) tests/api
# Its tests mostly wait for controllers.
test-operator: AT_ONCE = 4
test-operator: env-dev cluster-build ## the operator on a real control plane, with simulated pods
	@$(call needs,ls /usr/lib/*/faketime/libfaketime.so.1,libfaketime)
	$(call PARALLEL,$(DEV)) tests/simulated
test-chart: env-dev cluster-build ## helm lint, template, unit tests, install; images
	$(call PYTEST,$(DEV)) tests/chart
# Three learners, each with a generator, take 15 GiB; one of them mostly waits.
test-trainer: AT_ONCE = 3
test-trainer: env-trainer ## real TRL, DeepSpeed and vLLM on CPU
	$(call PARALLEL,$(TRAINER)) tests/trainer
test-e2e: env-dev env-trainer ## apply, train, kill, resume, scrape, look at the page on the local cluster
	@$(call needs,command -v chromium,chromium fonts-dejavu-core)
	$(call PYTEST,$(DEV)) tests/e2e
test: env-dev env-trainer cluster-build ## verify, then all of these, from fast to slow, and one summary
	$(PATHS) $(DEV)/python -m harness.layers $(LAYERS)

##@ Faults

chaos: env-dev env-trainer cluster-build ## tests that play faults, with their longer sweeps, then every fault of tests/chaos on the local cluster: printed, and written to build/chaos.json
	@$(call needs,command -v ip,iproute2)
	@$(call needs,ls /usr/lib/*/faketime/libfaketime.so.1,libfaketime)
	$(PATHS) $(DEV)/python -m chaos
chaos-alerts: env-dev env-trainer ## each fault that an alert names, until it fires, about half an hour; printed, and written to build/chaos.json
	$(PATHS) $(DEV)/python -m chaos.alerts
chaos-table: env-dev ## what the last `make chaos` and `make chaos-alerts` found, as in docs/reliability.md
	@$(PATHS) $(DEV)/python -m chaos.report
chaos-soak: env-dev env-trainer ## faults at random for as long as a run takes, about half an hour; printed, and written to build/chaos.json
	$(PATHS) $(DEV)/python -m chaos.soak

##@ Benchmarks

bench: bench-operator bench-startup bench-telling ## these three, one after the other
bench-operator: env-dev cluster-build ## cost of the operator itself, printed and written to build/bench/operator.json
	$(PATHS) $(DEV)/python -m perf.operator_cost
# Not beside each other, also with `make -j`: each would measure the other.
bench-startup: env-trainer | $(if $(filter bench,$(MAKECMDGOALS)),bench-operator) ## seconds from a learner's start to its first step, in parts, printed and written to build/bench/startup.json
	$(PATHS) $(TRAINER)/python -m perf.startup_cost

bench-telling: env-trainer | $(if $(filter bench,$(MAKECMDGOALS)),bench-startup) ## cost of metrics, of completions on the volume and of their page, printed and written to build/bench/telling.json
	$(PATHS) $(TRAINER)/python -m perf.telling_cost

# More than an hour, and so no part of `bench`. In a network of its own, for the ports of learners and generators are fixed.
bench-train: env-trainer ## what a training step takes, against its limit and against TRL alone, printed and written to build/bench/train.json
	$(call needs,command -v ip,iproute2)
	$(PATHS) unshare --net sh -c 'ip link set lo up && exec "$$0" "$$@"' $(TRAINER)/python -m perf.training_cost

# In an environment of the GPU's machine; without the one thread that CPUs shared by several ranks are measured with.
GPU_PYTHON ?= python3
bench-gpu: ## learner and weight changes on one GPU, printed and written to build/bench/gpu.json (GPU_PYTHON: has what trainer_image/requirements-gpu.txt lists)
	env -u OMP_NUM_THREADS $(PATHS) $(GPU_PYTHON) -m perf.gpu

bench-lora-rounding: env-trainer ## what merging an adapter into the base at every weight update, and out again, would leave in it, printed
	$(PATHS) $(TRAINER)/python -m perf.lora_rounding

help: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: made-dev made-trainer made-recipe cleaned-cache $(shell awk -F: '/^[a-z0-9-]+:.*## / {print $$1}' $(MAKEFILE_LIST))
