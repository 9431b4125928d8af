//go:build tools

// Package tools names the Kubernetes commands that hack/tools/tools.sh builds,
// so that `go mod tidy` keeps everything they need in go.mod and go.sum.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
