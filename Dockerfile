# Faxroom's own processes in one image; the command says which. Each may run as often as wanted.
#
#   docker build -t faxroom .
#   docker run … faxroom                                        web, on port 8000
#   docker run … faxroom python worker.py jobs                  jobs; add queue names to serve only those
#   docker run … faxroom python worker.py line                  line: beside each Asterisk, with its spool mounted
#   docker run … faxroom python worker.py clock                 clock
#   docker run … faxroom python worker.py collect               the Mail2Fax boxes
#   docker run … faxroom python worker.py door                  emails that are handed in (docs/door.md)
#   docker run … faxroom python worker.py entrance              the T.38 entrance (docs/carriers.md), in Asterisk's network
#   docker run … faxroom flask --app wsgi db upgrade            the database, before the first start and each new version
#   docker run … faxroom flask --app wsgi provision FILE        tenants; likewise send, faxes, doctor
#
# Settings come by the environment (docs/configure.md): SECRET_KEY, DATABASE_URL, REDIS_URL, STORAGE_URL, SMTP_URL,
# MAIL_FROM, FAXROOM_URL, ARI_URL, ARI_USER, ARI_PASSWORD, FAXROOM_SPOOL, UNOSERVER_URL; secrets better as NAME_FILE.
# PostgreSQL, Redis and Asterisk run elsewhere. The document converter has LibreOffice on top. It is reached by a socket
# in a folder that it shares with the jobs (UNOSERVER_URL=unix:/run/faxroom/office.sock), and makes a room of its own for
# LibreOffice, which Docker's usual profiles forbid; with them it stands behind Landlock, and where the kernel has none it
# opens no document and says so.
#
#   docker build -t faxroom-office --target office .
#   docker run --restart=always --network none --cap-drop ALL --security-opt seccomp=unconfined \
#     --security-opt apparmor=unconfined --security-opt systempaths=unconfined -v offices:/run/faxroom faxroom-office
#   docker run … -v offices:/run/faxroom -e UNOSERVER_URL=unix:/run/faxroom/office.sock … jobs as above

FROM debian:bookworm-slim AS base
ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1 PATH=/opt/faxroom/.tools/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates bubblewrap fonts-crosextra-caladea fonts-crosextra-carlito fonts-dejavu-core \
        fonts-freefont-ttf fonts-liberation fonts-wqy-microhei gnupg \
        libharfbuzz-subset0 libnginx-mod-http-lua libpango-1.0-0 libpangoft2-1.0-0 libseccomp2 nginx python3 tzdata \
    && rm -rf /var/lib/apt/lists/*
# An image keeps times in whole seconds, and a list of fonts that is older than its folder by less is made anew by each
# process that needs one. So the folders have whole seconds before it is made.
RUN find /usr/share/fonts /usr/local/share/fonts -type d -exec touch -d "@$(date +%s)" {} + && fc-cache -f
WORKDIR /opt/faxroom

FROM base AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY requirements.lock ./
RUN /usr/bin/python3 -m venv --system-site-packages .tools/venv \
    && .tools/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY . .
# The browser's files and the translations, as bin/up makes them; what fetched them stays in this stage.
RUN python3 -c "import sys; sys.path.insert(0, 'bin/lib'); import assets; from pathlib import Path; \
root = Path.cwd(); assets.install(root, print); assets.compile_translations(root)" \
    && rm -rf .tools/nodejs .tools/node_modules

FROM base AS portal
RUN useradd --system --uid 990 --home-dir /var/lib/faxroom faxroom \
    && install -d -m 700 -o faxroom -g faxroom /run/faxroom /var/lib/faxroom
COPY --from=build /opt/faxroom /opt/faxroom
ENV FAXROOM_HOME=/var/lib/faxroom PYTHONDONTWRITEBYTECODE=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1
USER faxroom
VOLUME /var/lib/faxroom
EXPOSE 8000
# The web, and the front that takes requests for it.
CMD ["python", "bin/lib/front.py", "--with-web", "0.0.0.0:8000"]

FROM portal AS office
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends libreoffice-calc-nogui libreoffice-impress-nogui \
        libreoffice-math-nogui libreoffice-writer-nogui python3-uno \
    && rm -rf /var/lib/apt/lists/*
RUN find /usr/share/fonts /usr/local/share/fonts -type d -exec touch -d "@$(date +%s)" {} + && fc-cache -f
USER faxroom
CMD ["python", "-m", "app.adapters.offices.office_server", "--socket", "/run/faxroom/office.sock"]

# The last stage is what "docker build" makes.
FROM portal
