//go:build !linux

package cli_test

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
