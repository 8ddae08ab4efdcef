package btcdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/btcsuite/btcd/chaincfg"
)

// PreparedHeight is the height of a node that was just started: three periods
// of version bits, in which segwit, taproot and relative locks become active.
const PreparedHeight = 440

var (
	preparing sync.Mutex
	prepared  = map[string]string{}
)

// prepare mines the first blocks once per test binary and returns the data
// directory to copy.
func prepare(params *chaincfg.Params) (string, error) {
	preparing.Lock()
	defer preparing.Unlock()
	if dir, ok := prepared[params.Name]; ok {
		return dir, nil
	}
	if _, err := build(); err != nil {
		return "", err
	}
	dir := filepath.Join(home, params.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("btcdtest: %w", err)
	}
	n, err := newNode(options{params: params}, dir, "")
	if err != nil {
		return "", err
	}
	defer n.end()
	if _, err := n.RPC.Generate(PreparedHeight); err != nil {
		return "", fmt.Errorf("btcdtest: mine the first blocks: %w", err)
	}
	if err := n.process.stop(); err != nil {
		return "", err
	}
	prepared[params.Name] = filepath.Join(dir, "data")
	return prepared[params.Name], nil
}
