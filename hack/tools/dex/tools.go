//go:build tools

// Package tools names the Dex command that hack/tools/tools.sh builds, so that
// `go mod tidy` keeps everything it needs in go.mod and go.sum.
package tools

import _ "github.com/dexidp/dex/cmd/dex"
