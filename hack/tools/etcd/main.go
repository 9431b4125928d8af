// Command etcd is the etcd server at the version that go.mod pins; the server
// is a library, so this is all its main package needs.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
