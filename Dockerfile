# docker build -t secateur .            or, with GPUs: docker build -t secateur --build-arg LOCK=gpu .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" secateur --resources gpu=2
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/secateur
ARG LOCK=cpu
COPY Makefile pyproject.toml README.md LICENSE ./
COPY envs envs
COPY scripts scripts
RUN make .venv/stamp PYTHON=python3 LOCK=${LOCK}
COPY Snakefile ./
COPY rules rules
COPY profiles profiles
ENV PATH=/opt/secateur/.venv/bin:$PATH HOME=/tmp
WORKDIR /work
# The first process passes signals on: `docker stop` lets the training write a checkpoint.
ENTRYPOINT ["secateur", "run", "--snakefile", "/opt/secateur/Snakefile"]
