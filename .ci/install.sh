# Sourced by the other scripts: install and toolchains.

say() { echo "--- $*"; }

# install PACKAGE…: from Debian, as root; elsewhere it says no.
install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing $*"
  local log
  log=$(mktemp)
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null ||
    { cat "$log"; rm -f "$log"; return 1; }
  rm -f "$log"
}

# rust_for_wasm: is there a rustc with the target that plugins are built for?
rust_for_wasm() {
  local rustc
  for rustc in $(type -aP rustc) /usr/bin/rustc; do
    [ -x "$rustc" ] && ls "$("$rustc" --print sysroot 2>/dev/null)"/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib >/dev/null 2>&1 && return
  done
  return 1
}

# toolchains LANGUAGE…: installs what the compilers of rust and c lack, of Debian's packages;
# where that cannot be done it says what is missing.
toolchains() {
  local missing=() language
  for language in "$@"; do
    case $language in
      rust)
        rust_for_wasm && command -v cargo >/dev/null || missing+=(rustc cargo libstd-rust-dev-wasm32)
        command -v wasm-ld-14 wasm-ld >/dev/null || missing+=(lld-14)
        ;;
      c)
        command -v clang-19 clang >/dev/null || missing+=(clang-19)
        command -v wasm-ld-19 wasm-ld >/dev/null || missing+=(lld-19)
        [ -d /usr/include/wasm32-wasi ] || ! command -v dpkg >/dev/null || missing+=(wasi-libc)
        ;;
    esac
  done
  ((${#missing[@]} == 0)) && return
  install "${missing[@]}" && return
  say "missing: ${missing[*]} (names of Debian's packages); install them, or what your system calls them. Rust may also come from rustup: rustup target add wasm32-unknown-unknown"
  return 1
}
