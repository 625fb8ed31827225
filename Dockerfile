# The gateway as an image: docker build -t mmsgw .
# Configuration is expected in /etc/mmsgw, data in /var/lib/mmsgw. Runs as user 10001, with a file system that it
# need not write to, save for /var/lib/mmsgw where the store or media are there.
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package mmsgw --bin mmsgw && cp target/dist/mmsgw /mmsgw
RUN install -d -o 10001 -g 10001 -m 0750 /data

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /mmsgw /usr/bin/mmsgw
COPY --from=build --chown=10001:10001 /data /var/lib/mmsgw
ENV MMSGW_CONFIG=/etc/mmsgw/mmsgw.toml
USER 10001:10001
WORKDIR /var/lib/mmsgw
VOLUME /var/lib/mmsgw
# API, operations, HTTP and SMTP for carriers: as the configuration says, these where it says nothing.
EXPOSE 8080 8081 8082 2525
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/mmsgw"]
CMD ["serve"]
