# One image per service: docker build --build-arg SERVICE=capture .
# The demo with its lab:  docker build --build-arg SERVICE=lab --target demo .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/app \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=true
WORKDIR /source
# First what other people wrote: this layer changes with the lock file only.
COPY pyproject.toml uv.lock ./
COPY libs/common/pyproject.toml libs/common/
COPY libs/host/pyproject.toml libs/host/
COPY services/capture/pyproject.toml services/capture/
COPY services/cloud-bridge/pyproject.toml services/cloud-bridge/
COPY services/dashboard/pyproject.toml services/dashboard/
COPY services/detector/pyproject.toml services/detector/
COPY services/history/pyproject.toml services/history/
COPY services/home-assistant/pyproject.toml services/home-assistant/
COPY services/notifier/pyproject.toml services/notifier/
COPY services/prober/pyproject.toml services/prober/
COPY doubles/thingspeak/pyproject.toml doubles/thingspeak/
COPY cli/pyproject.toml cli/
COPY lab/pyproject.toml lab/
COPY dev/pyproject.toml dev/
RUN uv sync --frozen --no-dev --no-install-workspace --package "monitorpi-${SERVICE}"
# Then what we wrote.
COPY libs libs
COPY services services
COPY doubles doubles
COPY cli cli
COPY lab lab
RUN uv sync --frozen --no-dev --no-editable --package "monitorpi-${SERVICE}" && \
    { [ "${SERVICE}" = lab ] || ln -s "monitorpi-${SERVICE}" /app/bin/service; }

FROM ${PYTHON_IMAGE} AS bare
# Nobody installs packages in a running image: what could has faults of its own, year by year.
RUN rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip \
        /usr/local/bin/pip* /usr/local/bin/wheel

# The demo and what its lab of network namespaces needs.
FROM bare AS demo
RUN apt-get update && \
    apt-get install -y --no-install-recommends \
        mosquitto mosquitto-clients iproute2 ethtool dnsmasq-base udhcpc && \
    rm -rf /var/lib/apt/lists/*
LABEL org.opencontainers.image.title="monitorpi-demo" \
      org.opencontainers.image.licenses="MIT AND BSD-3-Clause AND BSD-2-Clause AND ISC AND (EPL-2.0 OR BSD-3-Clause) AND PSF-2.0 AND Apache-2.0 AND (Apache-2.0 OR GPL-3.0-only) AND MPL-2.0 AND GPL-2.0-only AND LGPL-3.0-only"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH:/usr/sbin:/sbin \
    PYTHONUNBUFFERED=1
ENTRYPOINT ["/app/bin/monitorpi", "demo"]

FROM bare
ARG SERVICE
# What is in it besides ours: compose.yaml says it of each service, this line of all together.
ARG LICENSES="MIT AND BSD-3-Clause AND BSD-2-Clause AND ISC AND (EPL-2.0 OR BSD-3-Clause) AND PSF-2.0 AND Apache-2.0 AND (Apache-2.0 OR GPL-3.0-only) AND MPL-2.0 AND GPL-2.0-only AND LGPL-3.0-only"
LABEL org.opencontainers.image.title="monitorpi-${SERVICE}" \
      org.opencontainers.image.licenses="${LICENSES}"
COPY --from=build /app /app
ENV MONITORPI_HEARTBEAT=/run/monitorpi/heartbeat \
    PYTHONUNBUFFERED=1
# Well while the heartbeat is younger than ten seconds.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "test $(($(date +%s) - $(stat -c %Y /run/monitorpi/heartbeat))) -lt 10"]
ENTRYPOINT ["/app/bin/service"]
