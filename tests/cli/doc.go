// Package cli tests the lnactor command as its users meet it: by scripts of command lines in testdata, with what is printed and which exit code
// there is. See the commands of a script in cli_test.go, and testscript for the others.
package cli
