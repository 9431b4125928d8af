#!/usr/bin/env bash
# Runs Keycloak. Unlike its own bin/kc.sh this finds a Java that is new enough, becomes the server (one process, so that signals
# and SIGSTOP reach it), and leaves the folder it was installed to unwritten.
#
#   keycloak ARGUMENTS...   with KEYCLOAK_HOME, a folder that is made if missing, for data and configuration of one server;
#                           JAVA_OPTS replaces the memory settings below
#   keycloak java-home      only print the folder of that Java; exit 1 if there is none
set -euo pipefail

readonly wanted=21 # Keycloak 26

# java_version FOLDER: the major version of the Java there. Each has a file `release`, which is faster to read than to ask it.
java_version() {
  [[ -x $1/bin/java && -r $1/release ]] || return 1
  sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release"
}

java_home() {
  local folder found on_path
  on_path=$(command -v java) && on_path=$(readlink -f "$on_path") || on_path=/nowhere/bin/java
  for folder in "${JAVA_HOME:-/nowhere}" "${on_path%/bin/java}" /usr/lib/jvm/* /opt/java/* /opt/jdk* /Library/Java/JavaVirtualMachines/*/Contents/Home; do
    found=$(java_version "$folder") || continue
    if [[ -n $found ]] && ((found >= wanted)); then
      echo "$folder"
      return
    fi
  done
  return 1
}

if [[ ${1:-} == java-home ]]; then
  java_home
  exit
fi
java=$(java_home) || {
  echo "keycloak: no Java $wanted or newer in JAVA_HOME, on PATH or in the usual folders" >&2
  exit 1
}

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
home=${KEYCLOAK_HOME:?keycloak: KEYCLOAK_HOME is not set}
mkdir -p "$home"/{conf,data,providers,themes}
ln -sfn "$here/lib" "$home/lib"

# The first compiler alone and the plain collector: half of the processor time until it serves, and 100 MB less. (The second
# compiler pays for servers that make many RSA keys.)
read -r -a memory <<<"${JAVA_OPTS:--Xms128m -Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
opens=()
for package in java.util java.util.concurrent java.security java.lang; do opens+=("--add-opens=java.base/$package=ALL-UNNAMED"); done

# The rest is what bin/kc.sh says.
exec "$java/bin/java" "${memory[@]}" "${opens[@]}" --enable-native-access=ALL-UNNAMED \
  -Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory \
  -XX:+ExitOnOutOfMemoryError -Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -Dstderr.encoding=UTF-8 -Duser.language=en -Duser.country=US \
  -Dkc.home.dir="$home" -Djboss.server.config.dir="$home/conf" -Djava.util.logging.manager=org.jboss.logmanager.LogManager \
  -Dpicocli.disable.closures=true -Dquarkus-log-max-startup-records=10000 \
  -cp "$here/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint "$@"
