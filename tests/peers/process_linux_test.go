package peers

import "syscall"

// dieWithParent ends lnd also when the test binary is killed or panics.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
