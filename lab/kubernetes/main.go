// Command kubernetes is the control plane of a lab's cluster: Kubernetes' own API server, controller manager and scheduler over
// etcd, in one process, as K3s links them.
package main

import (
	"context"
	"flag"
	"log"
)

func main() {
	var plane controlPlane
	flag.StringVar(&plane.data, "data", "", "directory of what it keeps")
	flag.StringVar(&plane.tls, "tls", "", "directory of ca.crt, server.crt and server.key")
	flag.StringVar(&plane.address, "address", "", "address at which the cluster reaches it")
	flag.StringVar(&plane.tokens, "tokens", "", "file of bearer tokens: lines of token,user,uid,\"group,group\"")
	flag.Parse()
	log.Fatal(plane.run(context.Background()))
}
