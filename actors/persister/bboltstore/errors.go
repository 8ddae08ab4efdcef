package bboltstore

import "github.com/lnactor/lnactor/actors/persister"

func inUse(dir string, pid int) error {
	return &persister.Error{
		Kind: persister.ErrInUse, Op: "open", Path: dir, PID: pid,
		Hint: "stop the other process, or give this one a directory of its own",
	}
}
