#!/usr/bin/env bash
# Builds the pinned tools of .ci/tools/go.mod into bin/tools: all of them, or those named.
set -euo pipefail
cd "$(dirname "$0")/tools"
declare -A tools=(
  [gofumpt]=mvdan.cc/gofumpt
  [golangci-lint]=github.com/golangci/golangci-lint/v2/cmd/golangci-lint
  [govulncheck]=golang.org/x/vuln/cmd/govulncheck
)
for tool in "${@:-gofumpt golangci-lint govulncheck}"; do
  for name in $tool; do
    CGO_ENABLED=0 go build -o "../../bin/tools/$name" "${tools[$name]}"
  done
done
