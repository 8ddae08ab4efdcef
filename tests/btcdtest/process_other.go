//go:build !linux

package btcdtest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
