# syntax=docker/dockerfile:1
# The same image as `cargo xtask image` builds, for those who have a container engine:
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag edgeloop/lb-agent:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 …

# Debian 12 has the compilers for the kernel's object and for arm64, which are installed as they are needed.
# It compiles for another processor, and runs on this one.
# hadolint ignore=DL3029
FROM --platform=linux/amd64 rust:1.95-bookworm AS build
ARG TARGETARCH=amd64
WORKDIR /edgeloop
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/root/.cache/edgeloop \
    cargo xtask image --arch "$TARGETARCH" \
    && mkdir /image \
    && cp target/image/*/release/lb-agent LICENSE /image/

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="Edgeloop" \
      org.opencontainers.image.description="Keeps Kubernetes Service traffic inside its node pool, decided in the kernel" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image/ /
ENV PATH=/
WORKDIR /
ENTRYPOINT ["/lb-agent"]
CMD ["--help"]
