#!/usr/bin/env bash
# What the official image's entrypoint does, as far as the manifests use it: a new cluster in an empty PGDATA with the
# user, password and database of the environment, then the server in place of this shell.
set -euo pipefail

# value NAME DEFAULT: the variable NAME, or what the file in NAME_FILE holds.
value() {
    local file=$1_FILE
    if [[ -n ${!1:-} && -n ${!file:-} ]]; then
        echo "error: both $1 and $file are set" >&2
        exit 1
    elif [[ -n ${!file:-} ]]; then
        cat "${!file}"
    else
        echo "${!1:-$2}"
    fi
}

[[ $# -gt 0 && $1 != -* ]] || set -- postgres "$@"
[[ $1 == postgres ]] || exec "$@"

if ((EUID == 0)); then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [[ ! -s $PGDATA/PG_VERSION ]]; then
    user=$(value POSTGRES_USER postgres)
    password=$(value POSTGRES_PASSWORD '')
    database=$(value POSTGRES_DB "$user")
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [[ -z $password && $method != trust ]]; then
        echo "error: a new database needs a password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
        exit 1
    fi
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    # shellcheck disable=SC2086  # several options
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    printf "\nlisten_addresses = '*'\n" >> "$PGDATA/postgresql.conf"
    if [[ $database != postgres ]]; then
        # On the socket alone, so that nobody takes the half-made database for a ready one.
        pg_ctl --wait --options="-c listen_addresses=''" start
        PGPASSWORD=$password createdb --username="$user" --maintenance-db=postgres "$database"
        pg_ctl --wait --mode=fast stop
    fi
fi
unset POSTGRES_PASSWORD PGPASSWORD
exec "$@"
