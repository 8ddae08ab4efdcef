package cli_test

import "syscall"

// dieWithParent ends a process also when the test binary is killed or panics.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
