# One image for the site and its workers: `arena serve` needs no torch, the worker's evaluations do.
FROM python:3.12-slim-bookworm

# bubblewrap is the sandbox: without it only native bundles are evaluated, see docs/operating.md
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/latentarena
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# The CPU build of torch: hundreds of megabytes smaller, and judging runs on the CPU anyway.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)" \
 && pip install --no-cache-dir --constraint constraints.txt '.[site]' \
 && rm -rf src

# Root inside the container: each box gets a user id of its own, and a control group where the host allows it.
# The data folder holds MNIST (LATENTARENA_DATA), the database and the objects of a site without PostgreSQL.
VOLUME /data
WORKDIR /data
ENV LATENTARENA_CACHE=/data/cache \
    PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["arena"]
CMD ["serve", "open", "--host", "0.0.0.0"]
