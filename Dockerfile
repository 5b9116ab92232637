# One image per service: docker build --build-arg SERVICE=capture .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
RUN pip install --no-cache-dir --disable-pip-version-check uv
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
COPY services/prober/pyproject.toml services/prober/
COPY doubles/thingspeak/pyproject.toml doubles/thingspeak/
COPY cli/pyproject.toml cli/
RUN uv sync --frozen --no-dev --no-install-workspace --package "monitorpi-${SERVICE}"
# Then what we wrote.
COPY libs libs
COPY services services
RUN uv sync --frozen --no-dev --no-editable --package "monitorpi-${SERVICE}" && \
    ln -s "monitorpi-${SERVICE}" /app/bin/service

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="monitorpi-${SERVICE}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /app /app
ENV MONITORPI_HEARTBEAT=/run/monitorpi/heartbeat \
    PYTHONUNBUFFERED=1
# Well while the heartbeat is younger than ten seconds.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "test $(($(date +%s) - $(stat -c %Y /run/monitorpi/heartbeat))) -lt 10"]
ENTRYPOINT ["/app/bin/service"]
