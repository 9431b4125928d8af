//go:build tools

// Package tools names the oauth2-proxy command that hack/tools/tools.sh builds, so that
// `go mod tidy` keeps everything it needs in go.mod and go.sum.
package tools

import _ "github.com/oauth2-proxy/oauth2-proxy/v7"
