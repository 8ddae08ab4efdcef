package btcdtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports that the system hands out for outgoing connections are not among these, so that a process that is restarted finds its own still free.
const firstPort, ports = 10_000, 20_000

var (
	portMu sync.Mutex
	given  = map[int]bool{}
)

// FreeAddr is an address on loopback, host:port, at which nobody listens. It is never given twice.
func FreeAddr() (string, error) {
	portMu.Lock()
	defer portMu.Unlock()
	err := errors.New("all were given")
	for range 200 {
		port := firstPort + rand.IntN(ports)
		if given[port] {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			given[port] = true
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("btcdtest: find a free port: %w", err)
}
